/**
 * See, export and erase what was recorded.
 *
 * The server's own program does it (`inkling feedback ...`), the one that the session runs, so that a shell and the
 * editor can never see different things.
 */

import { homedir } from 'node:os';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { t } from '../l10n';
import { ask, askInto } from '../start/run';
import type { Session } from '../start/session';
import type { Status } from '../status';
import { type Entry, recordedText } from './recordedText';

const MOST = 200;
const SCHEME = 'inkling-recorded';
const NOTHING = /Nothing was recorded yet/;

/** The documents that `seeRecorded` opens. */
export class RecordedDocuments implements vscode.TextDocumentContentProvider {
	static register(session: Session): vscode.Disposable {
		return vscode.workspace.registerTextDocumentContentProvider(SCHEME, new RecordedDocuments(session));
	}

	private constructor(private readonly session: Session) {}

	async provideTextDocumentContent({ query }: vscode.Uri): Promise<string> {
		const root = query || undefined;
		const printed = await feedback(this.session, ask, 'list', '--json', '--limit', String(MOST), ...only(root));
		return recordedText(root, (JSON.parse(printed || '[]') as Entry[] | null) ?? [], MOST);
	}
}

export async function seeRecorded(session: Session): Promise<void> {
	const root = await chooseFolder(session, t('See what was recorded'));
	if (root !== undefined) {
		// A fresh address each time: the editor keeps what it has read.
		const uri = vscode.Uri.from({ scheme: SCHEME, path: `/${t('recorded')}-${Date.now()}.md`, query: root ?? '' });
		await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri), { preview: true });
	}
}

export async function exportRecorded(session: Session): Promise<void> {
	const root = await chooseFolder(session, t('Export what was recorded'));
	if (root === undefined) {
		return;
	}
	const file = await vscode.window.showSaveDialog({
		defaultUri: vscode.Uri.file(join(homedir(), 'inkling-feedback.jsonl')),
		filters: { 'JSON lines': ['jsonl'] },
	});
	if (file === undefined) {
		return;
	}
	if (file.scheme !== 'file') {
		throw new Error(t('Choose a place on the machine that the server runs on.'));
	}
	// It may be long, so it goes straight into the file.
	await feedback(session, (...call) => askInto(file.fsPath, ...call), 'export', ...only(root ?? undefined));
	void vscode.window.showInformationMessage(t('What was recorded was written to {0}.', file.fsPath));
}

export async function eraseRecorded(session: Session): Promise<void> {
	const root = await chooseFolder(session, t('Erase what was recorded'));
	if (root === undefined) {
		return;
	}
	const erase = t('Erase');
	const question =
		root === null
			? t('Erase everything that Inkling recorded on this machine?')
			: t('Erase everything that Inkling recorded in {0}?', root);
	const detail = t('Suggestions, texts and outcomes go for good. This cannot be undone.');
	if ((await vscode.window.showWarningMessage(question, { modal: true, detail }, erase)) !== erase) {
		return;
	}
	const scope = root === null ? ['--all'] : only(root);
	await feedback(session, ask, 'erase', '--yes', ...scope);
	void vscode.window.showInformationMessage(t('It is erased.'));
}

/** One of the open folders, null for all there is, undefined for "not now". */
async function chooseFolder(session: Session, title: string): Promise<string | null | undefined> {
	const { workspaces } = await session.request<Status>('inkling/status');
	const rows = [
		...workspaces.map(({ root }) => ({ label: root, root: root as string | null })),
		{ label: t('Everything on this machine'), root: null },
	];
	return (await vscode.window.showQuickPick(rows, { title }))?.root;
}

function only(root: string | undefined): string[] {
	return root ? ['--workspace', root] : [];
}

/** Run a subcommand; that nothing was ever recorded is no fault. */
async function feedback<T>(session: Session, run: (command: string, args: string[]) => Promise<T>, ...args: string[]) {
	const { launch } = session;
	if (launch === undefined) {
		throw new Error(t('The Inkling server is not running.'));
	}
	try {
		return await run(launch.command, [...launch.args, 'feedback', ...args]);
	} catch (error) {
		if (error instanceof Error && NOTHING.test(error.message)) {
			return undefined;
		}
		throw error;
	}
}
