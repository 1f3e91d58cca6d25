/**
 * "Fix this finding": the server's agent mends what a linter found on the line of the cursor.
 */

import { randomUUID } from 'node:crypto';
import * as vscode from 'vscode';
import type { AgentView } from './agent/view';
import { t } from './l10n';
import type { Session } from './start/session';

interface Fixed {
	readonly fixed: boolean;
	readonly message: string;
}

/** Mend the finding, or the one on the line of the cursor; it can be taken back from the message and in the view. */
export async function fixFinding(session: Session, agent: AgentView, given?: vscode.Diagnostic): Promise<void> {
	const editor = vscode.window.activeTextEditor;
	if (editor === undefined) {
		return;
	}
	const finding = given ?? (await findingAt(editor.document, editor.selection.active));
	if (finding === undefined) {
		return;
	}
	const id = randomUUID();
	const code = typeof finding.code === 'object' ? finding.code.value : finding.code;
	const which = [finding.range.start.line, code === undefined ? null : String(code), id];
	const result = await vscode.window.withProgress(
		{ location: vscode.ProgressLocation.Window, title: t('Inkling mends the finding') },
		() => session.execute<Fixed>('inkling.agent.fix', session.uriOf(editor.document), ...which),
	);
	if (!result.fixed) {
		void vscode.window.showWarningMessage(`Inkling: ${result.message}`);
		return;
	}
	agent.mended(id, finding.message, result.message, vscode.workspace.asRelativePath(editor.document.uri));
	const undo = t('Undo');
	if ((await vscode.window.showInformationMessage(`Inkling: ${result.message}`, undo)) === undo) {
		await agent.undo(id);
	}
}

/** The finding on the line of the cursor; the user says which one if there are several. */
async function findingAt(document: vscode.TextDocument, at: vscode.Position): Promise<vscode.Diagnostic | undefined> {
	const found = vscode.languages
		.getDiagnostics(document.uri)
		.filter(({ range }) => range.start.line <= at.line && at.line <= range.end.line)
		.sort((a, b) => Number(b.range.contains(at)) - Number(a.range.contains(at)));
	if (found.length === 0) {
		void vscode.window.showInformationMessage(t('There is no finding on this line.'));
	}
	if (found.length < 2) {
		return found[0];
	}
	const rows = found.map((finding) => ({ label: finding.message, description: finding.source ?? '', finding }));
	return (await vscode.window.showQuickPick(rows, { title: t('Which finding?') }))?.finding;
}
