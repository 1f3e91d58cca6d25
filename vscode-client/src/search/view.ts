/**
 * The search view: passes questions to the server and results to the page, shows a result and opens it.
 */

import * as vscode from 'vscode';
import { t } from '../l10n';
import type { Session } from '../start/session';
import { indexInWords, type Status } from '../status';
import { remember } from './history';
import { type Filters, type Found, type Hit, keyOf, question, rowOf, type Said, type Told } from './messages';
import { searchPage } from './page';

export const VIEW = 'inkling.search';
const HISTORY = 'searchHistory';

export class SearchView implements vscode.WebviewViewProvider, vscode.Disposable {
	private view: vscode.WebviewView | undefined;
	private hits = new Map<string, Hit>();
	private searched: string | undefined;
	private asking: vscode.CancellationTokenSource | undefined;
	private wanted = '';
	private isWanted = false;
	private readonly mark = vscode.window.createTextEditorDecorationType({
		isWholeLine: true,
		backgroundColor: new vscode.ThemeColor('editor.rangeHighlightBackground'),
	});

	constructor(
		private readonly session: Session,
		private readonly extension: vscode.Uri,
		private readonly memory: vscode.Memento,
		private readonly saying: (run: () => unknown) => Promise<void>,
	) {}

	/** Show the view with the cursor in the box; selected text is the question. */
	async show(): Promise<void> {
		const editor = vscode.window.activeTextEditor;
		this.wanted = editor?.document.getText(editor.selection).trim().slice(0, 500) ?? '';
		this.isWanted = true;
		await vscode.commands.executeCommand(`${VIEW}.focus`);
		this.start();
	}

	resolveWebviewView(view: vscode.WebviewView): void {
		this.view = view;
		const folder = vscode.Uri.joinPath(this.extension, 'dist', 'webview');
		view.webview.options = { enableScripts: true, localResourceRoots: [folder] };
		const script = view.webview.asWebviewUri(vscode.Uri.joinPath(folder, 'search.js'));
		view.webview.html = searchPage(script.toString(), view.webview.cspSource, vscode.env.language);
		view.webview.onDidReceiveMessage((said: Said) => this.saying(() => this.hear(said)));
		view.onDidDispose(() => {
			this.view = undefined;
		});
	}

	dispose(): void {
		this.asking?.cancel();
		this.mark.dispose();
	}

	private hear(said: Said): unknown {
		switch (said.type) {
			case 'ready':
				return this.start();
			case 'ask':
				return this.ask(said.number, said.query, said.filters);
			case 'preview':
			case 'open':
				return this.open(said.key, said.type === 'preview');
		}
	}

	private start(): void {
		this.tell({ type: 'start', query: this.wanted, history: this.memory.get(HISTORY, []), focus: this.isWanted });
	}

	private async ask(number: number, query: string, filters: Filters): Promise<void> {
		this.asking?.cancel();
		const asking = new vscode.CancellationTokenSource();
		this.asking = asking;
		this.hits = new Map();
		this.searched = undefined; // known with the whole answer: until then a hit belongs to no search
		const history = remember(this.memory.get<string[]>(HISTORY, []), query);
		await this.memory.update(HISTORY, history);
		const { token } = asking;
		const show = ({ hits }: Found, done: boolean, note: string) => {
			if (!token.isCancellationRequested) {
				this.hits = new Map(hits.map((hit) => [keyOf(hit), hit]));
				this.tell({ type: 'rows', number, rows: hits.map(rowOf), done, note, history });
			}
		};
		try {
			const early = (found: Found) => show(found, false, '');
			const found = await this.session.requestInParts('inkling/search', question(query, filters), early, token);
			this.searched = token.isCancellationRequested ? this.searched : found.id;
			show(found, true, await this.note());
		} catch (error) {
			show({ hits: [] }, true, error instanceof Error ? error.message : String(error));
		}
	}

	/** What one should know about the results: an index that is not ready finds less. */
	private async note(): Promise<string> {
		const { workspaces } = await this.session.request<Status>('inkling/status');
		if (workspaces.length === 0) {
			return t('No folder is open, so there is nothing to search.');
		}
		const behind = workspaces.find(({ index }) => index.phase !== 'ready' || index.ready === 'words');
		return behind === undefined ? '' : t('Not everything is indexed yet: {0}.', indexInWords(behind.index));
	}

	/** Show a result; a preview leaves the focus in the list. */
	private async open(key: string, isPreview: boolean): Promise<void> {
		const hit = this.hits.get(key);
		if (hit === undefined) {
			return;
		}
		const document = await vscode.workspace.openTextDocument(vscode.Uri.parse(hit.uri));
		const last = Math.max(hit.range.start.line, hit.range.end.line - 1);
		const range = document.validateRange(new vscode.Range(hit.range.start.line, 0, last, Number.MAX_SAFE_INTEGER));
		const editor = await vscode.window.showTextDocument(document, {
			preview: true,
			preserveFocus: isPreview,
			selection: new vscode.Range(range.start, range.start),
		});
		editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
		editor.setDecorations(this.mark, isPreview ? [range] : []);
		if (!isPreview && this.searched !== undefined) {
			await this.session.execute('inkling.opened', this.searched, hit.uri, [...this.hits.keys()].indexOf(key));
		}
	}

	private tell(told: Told): void {
		void this.view?.webview.postMessage(told);
	}
}
