/**
 * The status bar item: one, at the right, with a spinner while the server or its model is getting ready.
 *
 * It only shows. What it looks at is the session's state and, once a second until the model is up, `inkling/status`.
 */

import * as vscode from 'vscode';
import { isOff, type Snooze } from './ghost/snooze';
import { t } from './l10n';
import type { Session, SessionState } from './start/session';
import { isWarmingUp, type ModelStatus, modelInWords, type Status } from './status';

const LOOK_AGAIN_MILLISECONDS = 1000;

export class Bar implements vscode.Disposable {
	private readonly item: vscode.StatusBarItem;
	private state: SessionState = { kind: 'starting' };
	private model: ModelStatus | undefined;
	private lookTimer: NodeJS.Timeout | undefined;
	private readonly following: readonly vscode.Disposable[];

	constructor(
		private readonly session: Session,
		private readonly snooze: Snooze,
		command: string,
	) {
		this.item = vscode.window.createStatusBarItem('inkling', vscode.StatusBarAlignment.Right, 100);
		this.item.name = 'Inkling';
		this.item.command = command;
		this.following = [
			session.onChange((state) => this.follow(state)),
			snooze.onChange(() => this.show()),
			vscode.window.onDidChangeActiveTextEditor(() => this.show()),
			vscode.workspace.onDidChangeConfiguration(() => this.reconsider()),
		];
		this.show();
		this.item.show();
	}

	dispose(): void {
		clearTimeout(this.lookTimer);
		for (const one of this.following) {
			one.dispose();
		}
		this.item.dispose();
	}

	private follow(state: SessionState): void {
		clearTimeout(this.lookTimer);
		this.state = state;
		this.model = undefined;
		this.show();
		if (state.kind === 'running') {
			void this.look(state);
		}
	}

	/** Completions may have been switched on, and with them the model. */
	private reconsider(): void {
		this.show();
		if (this.state.kind === 'running' && (this.model === undefined || isWarmingUp(this.model))) {
			clearTimeout(this.lookTimer);
			void this.look(this.state);
		}
	}

	private async look(state: SessionState): Promise<void> {
		const status = await this.session.request<Status>('inkling/status').catch(() => undefined);
		if (this.state !== state || status === undefined) {
			return; // another server by now, or none
		}
		this.model = status.model;
		this.show();
		if (isWarmingUp(status.model) && isOn()) {
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
				return ['error', this.state.problem.problem];
			case 'stopped':
				return ['circle-slash', t('the server is stopped')];
			case 'starting':
				return ['loading~spin', t('the server is starting')];
			case 'waiting':
				return ['loading~spin', t('the server ended by itself; a new start in {0} s', this.state.seconds)];
			case 'running':
				break;
		}
		if (!isOn()) {
			return ['circle-slash', t('completions are switched off')];
		}
		if (this.snooze.active) {
			const until = new Date(this.snooze.until).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
			return ['bell-slash', t('completions are snoozed until {0}', until)];
		}
		const language = vscode.window.activeTextEditor?.document.languageId;
		if (isOff(language)) {
			return ['circle-slash', t('completions are switched off in {0}', language ?? '')];
		}
		if (this.model === undefined || isWarmingUp(this.model)) {
			return ['loading~spin', t('the model is being loaded')];
		}
		return [this.model.state === 'ready' ? 'pencil' : 'warning', modelInWords(this.model)];
	}
}

function isOn(): boolean {
	return vscode.workspace.getConfiguration('inkling.completion').get('enabled', true);
}
