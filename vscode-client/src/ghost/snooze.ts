/**
 * Rest from ghost text: for a while, for today, or for one language.
 *
 * The while and today are kept in the extension, because a restarted server knows of no snooze; a language stays off in
 * the user's settings, where it can be seen.
 */

import * as vscode from 'vscode';
import { t } from '../l10n';
import type { Session } from '../start/session';
import { minutesLeftToday } from './today';

const KEY = 'snoozedUntil';
const SHORT_MINUTES = 15;

export class Snooze implements vscode.Disposable {
	private readonly changed = new vscode.EventEmitter<void>();
	readonly onChange = this.changed.event;
	private timer: NodeJS.Timeout | undefined;
	private readonly following: vscode.Disposable;
	/** The end that the server of this window was told. */
	private told = 0;

	constructor(
		private readonly session: Session,
		private readonly memory: vscode.Memento,
	) {
		this.following = vscode.Disposable.from(
			session.onChange(({ kind }) => {
				if (kind === 'running' && this.active) {
					void this.send();
				}
			}),
			vscode.window.onDidChangeWindowState(({ focused }) => {
				if (focused && this.until !== this.told && (this.active || this.told > Date.now())) {
					this.wake(); // another window was told to rest, or to end it
					void this.send();
				}
			}),
		);
		this.wake();
	}

	/** When it ends, in milliseconds; in the past if there is none. */
	get until(): number {
		return this.memory.get(KEY, 0);
	}

	get active(): boolean {
		return Date.now() < this.until;
	}

	/** Rest for so long from now on; 0 ends it. */
	async rest(minutes: number): Promise<void> {
		await this.memory.update(KEY, Date.now() + minutes * 60_000);
		this.wake();
		await this.send();
	}

	/** Ask how long, and rest. */
	async choose(): Promise<void> {
		const language = vscode.window.activeTextEditor?.document.languageId;
		const rows = [
			...(this.active ? [{ label: `$(bell) ${t('End the snooze')}`, run: () => this.rest(0) }] : []),
			{ label: `$(bell-slash) ${t('For {0} minutes', SHORT_MINUTES)}`, run: () => this.rest(SHORT_MINUTES) },
			{ label: `$(calendar) ${t('For today')}`, run: () => this.rest(minutesLeftToday(new Date())) },
			...(language === undefined ? [] : [languageRow(language)]),
		];
		await (await vscode.window.showQuickPick(rows, { title: t('No ghost text ...') }))?.run();
	}

	dispose(): void {
		clearTimeout(this.timer);
		this.following.dispose();
		this.changed.dispose();
	}

	private async send(): Promise<void> {
		if (this.session.state.kind === 'running') {
			this.told = this.until;
			await this.session.execute('inkling.snooze', Math.max(0, this.until - Date.now()) / 60_000);
		}
	}

	private wake(): void {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.changed.fire(), Math.max(0, this.until - Date.now()) + 1);
		this.changed.fire();
	}
}

/** Switch one language off, or on again, in the user's settings. */
export async function switchLanguage(language: string): Promise<void> {
	const configuration = vscode.workspace.getConfiguration('inkling.completion');
	const off = configuration.get<string[]>('languagesOff', []);
	const changed = off.includes(language) ? off.filter((one) => one !== language) : [...off, language];
	await configuration.update('languagesOff', changed, vscode.ConfigurationTarget.Global);
}

export function isOff(language: string | undefined): boolean {
	const off = vscode.workspace.getConfiguration('inkling.completion').get<string[]>('languagesOff', []);
	return language !== undefined && off.includes(language);
}

function languageRow(language: string) {
	return {
		label: isOff(language)
			? `$(check) ${t('In {0} again', language)}`
			: `$(circle-slash) ${t('In {0}, until I switch it on again', language)}`,
		run: () => switchLanguage(language),
	};
}
