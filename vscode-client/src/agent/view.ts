/**
 * The agent view: asks the server's agent, shows its steps as they come, and lets the user review, apply and undo.
 *
 * What the agent may do and what it did is the server's to know; here it is shown, and the user's decisions are passed on.
 */

import { randomUUID } from 'node:crypto';
import * as vscode from 'vscode';
import { t } from '../l10n';
import type { Session } from '../start/session';
import { agentPage } from './page';
import { Proposals, runOf } from './proposals';
import { begun, ended, type Kind, type Outcome, type Run, type Said, type Step, steering, stepped, type Told } from './run';

export const AGENT_VIEW = 'inkling.agent';
const MOST_RUNS = 30;
const UNREVIEWED = 'applyWithoutReview';

/** What is asked, and about which code. */
interface Question {
	readonly kind: Kind;
	readonly text?: string;
	readonly document?: vscode.TextDocument;
	readonly range?: vscode.Range;
}

export class AgentView implements vscode.WebviewViewProvider, vscode.Disposable {
	private view: vscode.WebviewView | undefined;
	private runs: Run[] = [];
	/** The user asked for the view; else it may be shown only because another one of its container is. */
	private isWanted = false;
	/** Runs whose last decision is still on its way: a second click decides nothing. */
	private readonly deciding = new Set<string>();
	private readonly stops = new Map<string, vscode.CancellationTokenSource>();
	private readonly proposals = new Proposals();

	constructor(
		private readonly session: Session,
		private readonly extension: vscode.Uri,
		private readonly saying: (run: () => unknown) => Promise<void>,
	) {}

	resolveWebviewView(view: vscode.WebviewView): void {
		this.view = view;
		const folder = vscode.Uri.joinPath(this.extension, 'dist', 'webview');
		view.webview.options = { enableScripts: true, localResourceRoots: [folder] };
		const script = view.webview.asWebviewUri(vscode.Uri.joinPath(folder, 'agent.js'));
		view.webview.html = agentPage(script.toString(), view.webview.cspSource, vscode.env.language);
		view.webview.onDidReceiveMessage((said: Said) => this.saying(() => this.hear(said)));
		view.onDidDispose(() => {
			this.view = undefined;
		});
	}

	/** All runs, oldest first. */
	get shown(): readonly Run[] {
		return this.runs;
	}

	/** Show the view with the cursor in its box. */
	async show(): Promise<void> {
		this.isWanted = true;
		await vscode.commands.executeCommand(`${AGENT_VIEW}.focus`);
		this.tell({ type: 'focus' });
	}

	/** Let the agent explain, document or test the code at the cursor. */
	async about(kind: Kind, range?: vscode.Range): Promise<void> {
		const editor = vscode.window.activeTextEditor;
		if (editor === undefined) {
			return;
		}
		await this.show();
		await this.run({ kind, document: editor.document, range: range ?? editor.selection });
	}

	/** Run the agent; every step is shown at once. */
	async run({ kind, text = '', document, range }: Question): Promise<Run> {
		const id = randomUUID();
		const place = document && `${vscode.workspace.asRelativePath(document.uri)}:${(range?.start.line ?? 0) + 1}`;
		this.put(begun(id, kind, text || place || ''));
		const stop = new vscode.CancellationTokenSource();
		this.stops.set(id, stop);
		const step = (step: Step) => this.change(id, (run) => stepped(run, step));
		try {
			const about = document && {
				uri: this.session.uriOf(document),
				range: range && { start: pointOf(range.start), end: pointOf(range.end) },
			};
			const asked = { id, kind, text, ...about };
			// What comes early are steps; the answer itself has another shape.
			const hear = (early: Outcome | Step) => 'kind' in early && step(early);
			const outcome = await this.session.requestInParts<Outcome | Step>('inkling/agent', asked, hear, stop.token);
			this.change(id, (run) => ended(run, outcome as Outcome));
			await this.applyByRule(this.of(id));
		} catch (error) {
			const note = error instanceof Error ? error.message : String(error);
			const stopped = stop.token.isCancellationRequested;
			this.change(id, (run) => ({ ...run, state: stopped ? 'stopped' : 'failed', note: stopped ? '' : note }));
		} finally {
			this.stops.delete(id);
			stop.dispose();
		}
		return this.of(id);
	}

	/** A finding was mended at once: shown as a run that can be taken back. */
	mended(id: string, title: string, note: string, path: string): void {
		this.put({ ...begun(id, 'fix', title), state: 'done', note, applied: [path] });
	}

	stop(id: string): void {
		this.stops.get(id)?.cancel();
	}

	/** Show a proposal in the editor's diff, where places can be turned down one by one. */
	async review(id: string, path: string): Promise<void> {
		const proposal = this.of(id).proposals.find((one) => one.path === path);
		if (proposal !== undefined) {
			await this.proposals.review(id, proposal);
		}
	}

	/** Apply what was reviewed, or was not looked at. */
	async apply(id: string): Promise<void> {
		const { proposals } = this.of(id);
		const reviewed = this.proposals.reviewed(id, proposals);
		const { applied, message } = await this.session.execute<{ applied: string[]; message: string }>(
			'inkling.agent.apply',
			id,
			reviewed,
		);
		this.change(id, (run) => ({
			...run,
			note: message,
			applied: [...run.applied, ...applied],
			proposals: message ? run.proposals.filter(({ path }) => !applied.includes(path)) : [],
		}));
		if (!message) {
			await this.proposals.close(id);
		}
	}

	/** From now on, what a run of this kind proposes is applied at once, and this one's is. */
	async always(id: string): Promise<void> {
		const configuration = vscode.workspace.getConfiguration('inkling');
		const kinds = new Set([...configuration.get<Kind[]>(UNREVIEWED, []), this.of(id).kind]);
		await configuration.update(UNREVIEWED, [...kinds], vscode.ConfigurationTarget.Global);
		await this.apply(id);
	}

	/** Nothing of it is wanted. */
	async deny(id: string): Promise<void> {
		await this.session.execute('inkling.agent.deny', id);
		this.change(id, (run) => ({ ...run, proposals: [], note: t('Turned down.') }));
		await this.proposals.close(id);
	}

	/** Take back what the agent changed, and nothing else. */
	async undo(id: string): Promise<void> {
		const { message, left = [] } = await this.session.execute<{ message: string; left?: string[] }>('inkling.agent.undo', id);
		this.change(id, (run) => ({ ...run, note: message, applied: left }));
	}

	/** The run whose diff is in front. */
	async onReviewed(what: 'apply' | 'deny'): Promise<void> {
		const { input } = vscode.window.tabGroups.activeTabGroup.activeTab ?? {};
		const id = input instanceof vscode.TabInputTextDiff ? runOf(input.modified) : undefined;
		if (id !== undefined) {
			await this.decide(what, id);
		}
	}

	dispose(): void {
		this.proposals.dispose();
		for (const stop of this.stops.values()) {
			stop.cancel();
		}
	}

	private hear(said: Said): unknown {
		switch (said.type) {
			case 'ready':
				this.tell({ type: 'runs', runs: this.runs });
				return this.isWanted && this.tell({ type: 'focus' });
			case 'ask': {
				const editor = vscode.window.activeTextEditor;
				const range = editor?.selection.isEmpty ? undefined : editor?.selection;
				return this.run({ kind: 'ask', text: said.text, ...(range && editor ? { document: editor.document, range } : {}) });
			}
			case 'review':
				return this.review(said.id, said.path);
			case 'cure':
				return vscode.commands.executeCommand('workbench.action.openSettings', '@id:inkling.agent.model,inkling.agent.editorModel');
			case 'stop':
				return this.stop(said.id);
			case 'apply':
			case 'always':
			case 'deny':
			case 'undo':
				return this.decide(said.type, said.id);
		}
	}

	private async decide(what: 'apply' | 'always' | 'deny' | 'undo', id: string): Promise<void> {
		if (!this.deciding.has(id)) {
			this.deciding.add(id);
			await this[what](id).finally(() => this.deciding.delete(id));
		}
	}

	/** What the user wants no review of is applied, and says so. */
	private async applyByRule(run: Run): Promise<void> {
		const kinds = vscode.workspace.getConfiguration('inkling').get<Kind[]>(UNREVIEWED, []);
		if (run.state === 'done' && run.proposals.length > 0 && kinds.includes(run.kind)) {
			const held = steering(run.proposals);
			if (held !== undefined) {
				this.change(run.id, (run) => ({ ...run, note: t('{0} may steer what the editor runs, so this waits for your review.', held) }));
				return;
			}
			await this.decide('apply', run.id);
			this.change(run.id, (run) => (run.note ? run : { ...run, note: t('Applied without a review, as your settings say.') }));
		}
	}

	private of(id: string): Run {
		const run = this.runs.find((run) => run.id === id);
		if (run === undefined) {
			throw new Error(t('That run of the agent is not known any more.'));
		}
		return run;
	}

	private put(run: Run): void {
		this.runs = [...this.runs, run].slice(-MOST_RUNS);
		this.tell({ type: 'run', run });
	}

	private change(id: string, change: (run: Run) => Run): void {
		this.runs = this.runs.map((run) => (run.id === id ? change(run) : run));
		this.tell({ type: 'run', run: this.of(id) });
	}

	private tell(told: Told): void {
		void this.view?.webview.postMessage(told);
	}
}

function pointOf({ line, character }: vscode.Position) {
	return { line, character };
}
