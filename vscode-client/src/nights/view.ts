/**
 * The view of nights: what runs, what the last one found, which adapters there are; start, stop, promote, roll back, note.
 *
 * Everything it shows comes from the server, every two seconds while a night runs and the view is open.
 */

import * as vscode from 'vscode';
import { t } from '../l10n';
import type { Session } from '../start/session';
import { type Adapter, type Adapters, adapterRows, isRunning, nightRows, type NightStatus, type Row } from './words';

export const NIGHTS_VIEW = 'inkling.nights';
const RUNNING = 'inkling.nightRuns';
const CAN_ROLL_BACK = 'inkling.canRollBack';
const [SOON, LATER] = [2000, 15_000];

export class NightsView implements vscode.TreeDataProvider<Row>, vscode.Disposable {
	private readonly changed = new vscode.EventEmitter<void>();
	readonly onDidChangeTreeData = this.changed.event;
	private readonly tree: vscode.TreeView<Row>;
	private readonly held: vscode.Disposable;
	private timer: NodeJS.Timeout | undefined;

	constructor(private readonly session: Session) {
		this.tree = vscode.window.createTreeView(NIGHTS_VIEW, { treeDataProvider: this });
		const refresh = () => this.changed.fire();
		this.held = vscode.Disposable.from(this.tree, this.changed, session.onChange(refresh), this.tree.onDidChangeVisibility(refresh));
	}

	getTreeItem(row: Row): vscode.TreeItem {
		const item = new vscode.TreeItem(row.label);
		item.id = row.adapter?.name ?? row.context.split('.')[0] + row.label;
		item.description = row.description;
		item.tooltip = row.tooltip;
		item.contextValue = row.context;
		item.iconPath = new vscode.ThemeIcon(row.icon);
		item.accessibilityInformation = { label: `${row.label}, ${row.description}` };
		return item;
	}

	async getChildren(row?: Row): Promise<Row[]> {
		if (row !== undefined || this.session.state.kind !== 'running') {
			return [];
		}
		const [{ night }, adapters] = await Promise.all([
			this.session.request<{ night?: NightStatus }>('inkling/status'),
			this.session.execute<Adapters & { error?: string }>('inkling.adapters'),
		]);
		this.again(isRunning(night));
		void vscode.commands.executeCommand('setContext', RUNNING, isRunning(night));
		if (adapters.error !== undefined) {
			const problem = { label: t('Adapters'), description: adapters.error, tooltip: adapters.error, icon: 'error', context: 'problem' };
			return [...nightRows(night, null, ''), problem];
		}
		void vscode.commands.executeCommand('setContext', CAN_ROLL_BACK, adapters.canRollBack);
		return [...nightRows(night, adapters.served, adapters.base), ...adapterRows(adapters)];
	}

	/** Run a night now; the server shows the progress and lets the user cancel it. */
	async begin(): Promise<void> {
		setTimeout(() => this.changed.fire(), SOON);
		const verdict = await this.session.execute<{ reason?: string; message?: string }>('inkling.night');
		this.changed.fire();
		const reason = verdict.reason ?? verdict.message ?? t('it ended without a verdict; the output says why');
		void vscode.window.showInformationMessage(t("Inkling's night: {0}", reason));
	}

	/** Stop the night that runs, whoever started it. */
	async stop(): Promise<void> {
		const { cancelled } = await this.session.execute<{ cancelled: boolean }>('inkling.cancelNight');
		if (!cancelled) {
			void vscode.window.showInformationMessage(t('No night runs.'));
		}
		this.changed.fire();
	}

	async promote(row?: Row): Promise<void> {
		const adapter = row?.adapter ?? (await this.choose(t('Promote which adapter?'), ({ state }) => state !== 'champion'));
		if (adapter === undefined) {
			return;
		}
		const yes = t('Promote');
		const question = t('Serve {0} from now on? Its night said: {1}', adapter.name, adapter.reason ?? t('nothing'));
		if ((await vscode.window.showWarningMessage(question, { modal: true }, yes)) === yes) {
			await this.done('inkling.adapters.promote', adapter.name);
		}
	}

	async rollBack(): Promise<void> {
		const { served, before, base } = await this.adapters();
		const yes = t('Roll Back');
		const now = served ?? t('{0} as it is shipped', base);
		const then = before ?? t('{0} as it is shipped', base);
		const question = t('Go back from {0} to {1}?', now, then);
		if ((await vscode.window.showWarningMessage(question, { modal: true }, yes)) === yes) {
			await this.done('inkling.adapters.rollback');
		}
	}

	async note(row?: Row): Promise<void> {
		const adapter = row?.adapter ?? (await this.choose(t('Note about which adapter?'), () => true));
		if (adapter === undefined) {
			return;
		}
		const text = await vscode.window.showInputBox({ title: t('Note about {0}', adapter.name), value: adapter.note });
		if (text !== undefined) {
			await this.done('inkling.adapters.note', adapter.name, text);
		}
	}

	dispose(): void {
		clearTimeout(this.timer);
		this.held.dispose();
	}

	private async done(command: string, ...args: unknown[]): Promise<void> {
		const { error, message } = await this.session.execute<{ error?: string; message?: string }>(command, ...args);
		this.changed.fire();
		if (error !== undefined) {
			throw new Error(error);
		}
		if (message) {
			void vscode.window.showInformationMessage(`Inkling: ${message}`);
		}
	}

	/** What there is to choose from. Raises what the server says where it cannot tell. */
	private async adapters(): Promise<Adapters> {
		const adapters = await this.session.execute<Adapters & { error?: string }>('inkling.adapters');
		if (adapters.error !== undefined) {
			throw new Error(adapters.error);
		}
		return adapters;
	}

	private async choose(title: string, fits: (adapter: Adapter) => boolean): Promise<Adapter | undefined> {
		const adapters = await this.adapters();
		const rows = adapterRows(adapters).filter(({ adapter }) => adapter && fits(adapter));
		if (rows.length === 0) {
			void vscode.window.showInformationMessage(t('There is no such adapter yet: a night makes one.'));
			return undefined;
		}
		return (await vscode.window.showQuickPick(rows.map((row) => ({ ...row, detail: row.tooltip })), { title }))?.adapter;
	}

	private again(soon: boolean): void {
		clearTimeout(this.timer);
		if (this.tree.visible) {
			this.timer = setTimeout(() => this.changed.fire(), soon ? SOON : LATER);
		}
	}
}
