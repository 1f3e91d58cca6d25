/**
 * The status bar item: one, at the right, with a spinner while the server or its model is getting ready.
 *
 * It only shows. What it looks at is the session's state and, once a second until the model is up, `inkling/status`.
 */

import * as vscode from 'vscode';
import type { Session, SessionState } from './session';
import { isWarmingUp, type ModelStatus, modelInWords, type Status } from './status';

const LOOK_AGAIN_MILLISECONDS = 1000;

export class Bar implements vscode.Disposable {
	private readonly item: vscode.StatusBarItem;
	private state: SessionState = { kind: 'starting' };
	private model: ModelStatus | undefined;
	private snoozedUntil = 0;
	private lookTimer: NodeJS.Timeout | undefined;
	private snoozeTimer: NodeJS.Timeout | undefined;

	constructor(
		private readonly session: Session,
		command: string,
	) {
		this.item = vscode.window.createStatusBarItem('inkling', vscode.StatusBarAlignment.Right, 100);
		this.item.name = 'Inkling';
		this.item.command = command;
		session.onChange((state) => this.follow(state));
		this.show();
		this.item.show();
	}

	/** True while the user wants no ghost text. */
	get snoozed(): boolean {
		return Date.now() < this.snoozedUntil;
	}

	/** Completions rest for so long from now on; 0 ends it. */
	snooze(minutes: number): void {
		this.snoozedUntil = Date.now() + minutes * 60_000;
		clearTimeout(this.snoozeTimer);
		this.snoozeTimer = setTimeout(() => this.show(), minutes * 60_000);
		this.show();
	}

	dispose(): void {
		clearTimeout(this.lookTimer);
		clearTimeout(this.snoozeTimer);
		this.item.dispose();
	}

	private follow(state: SessionState): void {
		clearTimeout(this.lookTimer);
		this.state = state;
		this.model = undefined;
		this.snoozedUntil = 0; // a fresh server knows of no snooze
		this.show();
		if (state.kind === 'running') {
			void this.look(state);
		}
	}

	private async look(state: SessionState): Promise<void> {
		const status = await this.session.request<Status>('inkling/status').catch(() => undefined);
		if (this.state !== state || status === undefined) {
			return; // another server by now, or none
		}
		this.model = status.model;
		this.show();
		if (isWarmingUp(status.model)) {
			this.lookTimer = setTimeout(() => void this.look(state), LOOK_AGAIN_MILLISECONDS);
		}
	}

	private show(): void {
		const [icon, tip] = this.face();
		this.item.text = `$(${icon}) Inkling`;
		this.item.tooltip = `Inkling: ${tip}`;
		this.item.accessibilityInformation = { label: `Inkling: ${tip}` };
		this.item.backgroundColor =
			this.state.kind === 'failed' ? new vscode.ThemeColor('statusBarItem.errorBackground') : undefined;
	}

	private face(): [icon: string, tip: string] {
		switch (this.state.kind) {
			case 'failed':
				return ['error', this.state.problem];
			case 'stopped':
				return ['circle-slash', 'the server is stopped'];
			case 'starting':
				return ['loading~spin', 'the server is starting'];
			case 'running':
				break;
		}
		if (this.snoozed) {
			const until = new Date(this.snoozedUntil).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
			return ['bell-slash', `completions are snoozed until ${until}`];
		}
		if (this.model === undefined || isWarmingUp(this.model)) {
			return ['loading~spin', 'the model is being loaded'];
		}
		return [this.model.state === 'ready' ? 'pencil' : 'warning', modelInWords(this.model)];
	}
}
