/**
 * Proposals as documents, so that they can be reviewed in the editor's own diff: the file as it is at the left, what the
 * agent proposes at the right, where each place can be turned down with the diff's own arrow, or be changed by hand.
 *
 * They live in memory only. The user's file is not touched here; what stands at the right in the end is what is applied.
 */

import * as vscode from 'vscode';
import { t } from '../l10n';
import type { Proposal } from './run';

export const PROPOSED = 'inkling-proposed';
const BEFORE = 'inkling-before';

export class Proposals implements vscode.FileSystemProvider, vscode.Disposable {
	private readonly texts = new Map<string, Uint8Array>();
	private readonly times = new Map<string, number>();
	private readonly changed = new vscode.EventEmitter<vscode.FileChangeEvent[]>();
	private readonly held: vscode.Disposable;
	readonly onDidChangeFile = this.changed.event;

	constructor() {
		this.held = vscode.Disposable.from(
			vscode.workspace.registerFileSystemProvider(PROPOSED, this, { isCaseSensitive: true }),
			vscode.workspace.registerFileSystemProvider(BEFORE, this, { isCaseSensitive: true, isReadonly: true }),
			this.changed,
		);
	}

	/** Show one in the editor's diff. */
	async review(run: string, proposal: Proposal): Promise<void> {
		const [before, proposed] = [BEFORE, PROPOSED].map((scheme) => uriOf(scheme, run, proposal.path)) as [vscode.Uri, vscode.Uri];
		this.put(before, proposal.before ?? '');
		if (!this.texts.has(proposed.toString())) {
			this.put(proposed, proposal.after);
		}
		const title = t('{0}: what the agent proposes', proposal.path.split('/').at(-1) ?? proposal.path);
		await vscode.commands.executeCommand('vscode.diff', before, proposed, title, { preview: false });
	}

	/** The texts as they were reviewed, by path; what nobody looked at is as it was proposed. */
	reviewed(run: string, proposals: readonly Proposal[]): Record<string, string> {
		return Object.fromEntries(
			proposals.map(({ path, after }) => {
				const uri = uriOf(PROPOSED, run, path).toString();
				const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri);
				const kept = this.texts.get(uri);
				return [path, open?.getText() ?? (kept === undefined ? after : Buffer.from(kept).toString('utf8'))];
			}),
		);
	}

	/** The review is over: its tabs go, without a question about saving. */
	async close(run: string): Promise<void> {
		for (const document of vscode.workspace.textDocuments) {
			if (runOf(document.uri) === run && document.isDirty) {
				await document.save();
			}
		}
		const tabs = vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs);
		await vscode.window.tabGroups.close(
			tabs.filter(({ input }) => input instanceof vscode.TabInputTextDiff && runOf(input.modified) === run),
		);
		for (const key of [...this.texts.keys()].filter((key) => runOf(vscode.Uri.parse(key)) === run)) {
			this.texts.delete(key);
		}
	}

	dispose(): void {
		this.held.dispose();
	}

	watch(): vscode.Disposable {
		return new vscode.Disposable(() => {});
	}

	stat(uri: vscode.Uri): vscode.FileStat {
		const time = this.times.get(uri.toString()) ?? 0;
		return { type: vscode.FileType.File, ctime: time, mtime: time, size: this.readFile(uri).length };
	}

	readFile(uri: vscode.Uri): Uint8Array {
		const text = this.texts.get(uri.toString());
		if (text === undefined) {
			throw vscode.FileSystemError.FileNotFound(uri);
		}
		return text;
	}

	writeFile(uri: vscode.Uri, content: Uint8Array): void {
		this.texts.set(uri.toString(), content);
		this.times.set(uri.toString(), Date.now());
		this.changed.fire([{ type: vscode.FileChangeType.Changed, uri }]);
	}

	readDirectory(): [string, vscode.FileType][] {
		return [];
	}

	createDirectory(uri: vscode.Uri): void {
		throw vscode.FileSystemError.NoPermissions(uri);
	}

	delete(uri: vscode.Uri): void {
		throw vscode.FileSystemError.NoPermissions(uri);
	}

	rename(uri: vscode.Uri): void {
		throw vscode.FileSystemError.NoPermissions(uri);
	}

	private put(uri: vscode.Uri, text: string): void {
		this.writeFile(uri, Buffer.from(text, 'utf8'));
	}
}

/** The run that a document of a review belongs to; undefined for any other document. */
export function runOf(uri: vscode.Uri): string | undefined {
	return uri.scheme === PROPOSED || uri.scheme === BEFORE ? uri.authority : undefined;
}

function uriOf(scheme: string, run: string, path: string): vscode.Uri {
	return vscode.Uri.from({ scheme, authority: run, path: `/${path}` });
}
