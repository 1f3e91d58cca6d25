/**
 * Ghost text in the editor: what goes by on its way to the screen, our keys for it, and what the server hears of them.
 *
 * Taking a suggestion whole is reported by the editor itself. For a word, a line and sending it away there are keys of
 * ours that do what the editor's own do, and report. Where our keys stay out of the way (the suggestion list, snippets,
 * Vim), the server tells from the edits alone.
 */

import * as vscode from 'vscode';
import { t } from '../l10n';
import type { Session } from '../start/session';
import type { Status } from '../status';
import { type Offer, Tracker } from './tracker';

/** Set while a suggestion of ours stands; our keys ask for it. */
const OFFERING = 'inkling.offering';
const SAYING_MILLISECONDS = 6000;

export class Ghost implements vscode.Disposable {
	private readonly tracker = new Tracker();
	private readonly held: vscode.Disposable[] = [];
	private offering = false;
	/** The question to the server that is under way, or was last. */
	private passing: Promise<unknown> = Promise.resolve();

	constructor(
		private readonly session: Session,
		private readonly output: vscode.LogOutputChannel,
	) {
		session.watching = {
			provideInlineCompletionItems: (...asked) => {
				const answer = this.pass(...asked);
				this.passing = answer.catch(() => undefined);
				return answer;
			},
		};
		this.held.push(
			vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
				this.tracker.changed(document.uri.toString(), contentChanges);
				this.tell();
			}),
			vscode.window.onDidChangeTextEditorSelection(({ textEditor, selections }) => {
				if (textEditor === vscode.window.activeTextEditor && selections[0] !== undefined) {
					this.tracker.moved(textEditor.document.uri.toString(), textEditor.document.offsetAt(selections[0].active));
					this.tell();
				}
			}),
			vscode.window.onDidChangeActiveTextEditor(() => this.end()),
			session.onChange(() => this.end()),
		);
	}

	/** Take the next word or line of it. */
	async take(what: 'Word' | 'Line'): Promise<void> {
		const offer = this.here();
		await vscode.commands.executeCommand(`editor.action.inlineSuggest.acceptNext${what}`);
		const length = offer && this.tracker.lengthTaken(offer.id);
		if (offer !== undefined && length !== undefined && length > 0) {
			this.report('inkling.accept', offer.id, length);
		} // else it was the last piece, and the editor has reported it as a whole
	}

	/** Send it away. */
	async dismiss(): Promise<void> {
		const offer = this.here();
		this.end();
		await vscode.commands.executeCommand('editor.action.inlineSuggest.hide');
		if (offer !== undefined) {
			this.report('inkling.dismiss', offer.id);
		}
	}

	/** Go on to the next one or back; where there is only one so far, the editor asks for more. */
	async cycle(step: 1 | -1): Promise<void> {
		const before = this.here();
		this.tracker.cycle(step);
		await vscode.commands.executeCommand(`editor.action.inlineSuggest.show${step === 1 ? 'Next' : 'Previous'}`);
		await this.passing;
		const offer = this.here();
		if (offer !== undefined && offer.id !== before?.id) {
			this.report('inkling.shown', offer.id);
		}
	}

	/** Ask for it now. */
	async trigger(): Promise<void> {
		await vscode.commands.executeCommand('editor.action.inlineSuggest.trigger');
	}

	dispose(): void {
		for (const one of this.held) {
			one.dispose();
		}
	}

	/** Between the server and the editor: notes what is offered. */
	private async pass(
		document: vscode.TextDocument,
		position: vscode.Position,
		context: vscode.InlineCompletionContext,
		token: vscode.CancellationToken,
		next: (
			document: vscode.TextDocument,
			position: vscode.Position,
			context: vscode.InlineCompletionContext,
			token: vscode.CancellationToken,
		) => vscode.ProviderResult<vscode.InlineCompletionItem[] | vscode.InlineCompletionList>,
	) {
		if (context.selectedCompletionInfo !== undefined) {
			return undefined; // the suggestion list is being looked at: two texts for one place would be a fight
		}
		const answer = await next(document, position, context, token);
		if (token.isCancellationRequested) {
			return answer;
		}
		const offers = offersIn(answer);
		this.tracker.offered(document.uri.toString(), document.offsetAt(position), offers);
		this.tell();
		if (offers.length === 0 && context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke) {
			void this.sayWhyNothing();
		}
		return answer;
	}

	/** Somebody asked by hand and got nothing: that must not look like a fault. */
	private async sayWhyNothing(): Promise<void> {
		const status = await this.session.request<Status>('inkling/status').catch(() => undefined);
		const refusal = status?.lastRefusal;
		if (refusal) {
			const message = t('Inkling: nothing here. {0}', refusal.detail || refusal.reason);
			vscode.window.setStatusBarMessage(message, SAYING_MILLISECONDS);
		}
	}

	private here(): Offer | undefined {
		const editor = vscode.window.activeTextEditor;
		const document = editor?.document;
		return document && this.tracker.at(document.uri.toString(), document.offsetAt(editor.selection.active));
	}

	private end(): void {
		this.tracker.end();
		this.tell();
	}

	private tell(): void {
		if (this.offering !== this.tracker.isOffering) {
			this.offering = this.tracker.isOffering;
			void vscode.commands.executeCommand('setContext', OFFERING, this.offering);
		}
	}

	private report(command: string, ...about: unknown[]): void {
		this.session.execute(command, ...about).catch((error: unknown) => this.output.debug(`${command}: ${String(error)}`));
	}
}

function offersIn(answer: vscode.InlineCompletionItem[] | vscode.InlineCompletionList | null | undefined): Offer[] {
	const items = Array.isArray(answer) ? answer : (answer?.items ?? []);
	return items.flatMap(({ insertText, command }) => {
		const id: unknown = command?.arguments?.[0];
		const text = typeof insertText === 'string' ? insertText : insertText.value;
		return typeof id === 'string' ? [{ id, text }] : [];
	});
}
