/**
 * Consent in the editor: the page, what its buttons do, and showing it once, at the first start.
 */

import * as vscode from 'vscode';
import { t } from '../l10n';
import type { Session } from '../start/session';
import { consentInWords, type Status } from '../status';
import { type Answer, type Bound, consentPage, type Places } from './page';
import { eraseRecorded, exportRecorded, seeRecorded } from './recorded';

const SHOWN = 'consentShown';

export class ConsentPage implements vscode.Disposable {
	private panel: vscode.WebviewPanel | undefined;
	private readonly following: vscode.Disposable;

	constructor(
		private readonly session: Session,
		private readonly memory: vscode.Memento,
		private readonly saying: (run: () => unknown) => Promise<void>,
	) {
		this.following = session.onChange(({ kind }) => {
			if (kind === 'running') {
				void this.saying(() => (this.panel ? this.fill(this.panel) : this.showOnce()));
			}
		});
	}

	/** Show the page. */
	async show(): Promise<void> {
		const status = await this.session.request<Status>('inkling/status');
		if (status.workspaces.length === 0) {
			void vscode.window.showInformationMessage(t('Open a folder first: what is recorded is chosen per folder.'));
			return;
		}
		await this.memory.update(SHOWN, true);
		if (this.panel !== undefined) {
			this.panel.reveal(); // hidden, it forgot what stood in it; it is filled as it becomes visible
			return;
		}
		const panel = vscode.window.createWebviewPanel(
			'inkling.consent',
			t('Inkling: What Is Recorded'),
			vscode.ViewColumn.Active,
			{ enableScripts: true, localResourceRoots: [] },
		);
		this.panel = panel;
		panel.onDidDispose(() => {
			this.panel = undefined;
		});
		panel.onDidChangeViewState(() => panel.visible && void this.saying(() => this.fill(panel)));
		panel.webview.onDidReceiveMessage((answer: Answer) => this.saying(() => this.hear(panel, answer)));
		await this.fill(panel);
	}

	dispose(): void {
		this.following.dispose();
		this.panel?.dispose();
	}

	/** At the very first start, where there is something to choose. Whoever switched telemetry off is not asked. */
	private async showOnce(): Promise<void> {
		if (this.memory.get(SHOWN, false) || !vscode.env.isTelemetryEnabled) {
			return;
		}
		const { workspaces } = await this.session.request<Status>('inkling/status');
		if (workspaces.length > 0 && workspaces.every(({ consent }) => consent === 'off')) {
			await this.show();
		}
	}

	private async fill(panel: vscode.WebviewPanel): Promise<void> {
		const status = await this.session.request<Status & { readonly places?: Places }>('inkling/status');
		const unknown = t('a file on this machine');
		panel.webview.html = consentPage({
			folders: status.workspaces,
			bound: bound(),
			places: status.places ?? { feedback: unknown, index: unknown, encoded: unknown, logs: unknown },
			days: vscode.workspace.getConfiguration('inkling.feedback').get('textsDays', 180),
			language: vscode.env.language,
		});
	}

	private async hear(panel: vscode.WebviewPanel, answer: Answer): Promise<void> {
		switch (answer.do) {
			case 'choose': {
				try {
					const said = await this.choose(answer.folder, answer.value);
					await panel.webview.postMessage({ said });
				} catch (error) {
					await this.fill(panel).catch(() => undefined); // what is in force stands there again
					throw error;
				}
				return;
			}
			case 'see':
				return seeRecorded(this.session);
			case 'export':
				return exportRecorded(this.session);
			case 'erase':
				return eraseRecorded(this.session);
			case 'allow': {
				const feedback = vscode.workspace.getConfiguration('inkling.feedback');
				await feedback.update('withoutTelemetry', 'local', vscode.ConfigurationTarget.Global);
			} // that restarts the server, and the page is filled again
		}
	}

	/** Returns what to say about it. */
	private async choose(folder: string, value: string): Promise<string> {
		const answer = await this.session.execute<{ error?: string }>('inkling.consent', value, folder);
		if (answer.error) {
			throw new Error(t('The choice was not taken: {0}.', answer.error));
		}
		return t('From now on Inkling records {0}.', consentInWords(value));
	}
}

function bound(): Bound {
	if (vscode.env.isTelemetryEnabled) {
		return 'everything';
	}
	const without = vscode.workspace.getConfiguration('inkling.feedback').get<string>('withoutTelemetry', 'off');
	return without === 'local' ? 'local' : 'nothing';
}
