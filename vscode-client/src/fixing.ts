/**
 * "Fix this finding": the server's agent mends what a linter found on the line of the cursor.
 */

import * as vscode from 'vscode';
import { t } from './l10n';
import type { Session } from './start/session';

interface Fixed {
	readonly fixed: boolean;
	readonly message: string;
}

/** Mend the finding on the line of the cursor. */
export async function fixFinding(session: Session): Promise<void> {
	const editor = vscode.window.activeTextEditor;
	if (editor === undefined) {
		return;
	}
	const finding = await findingAt(editor.document, editor.selection.active);
	if (finding === undefined) {
		return;
	}
	const code = typeof finding.code === 'object' ? finding.code.value : finding.code;
	const which = [finding.range.start.line, ...(code === undefined ? [] : [String(code)])];
	const result = await vscode.window.withProgress(
		{ location: vscode.ProgressLocation.Window, title: t('Inkling mends the finding') },
		() => session.execute<Fixed>('inkling.agent.fix', session.uriOf(editor.document), ...which),
	);
	const show = result.fixed ? vscode.window.showInformationMessage : vscode.window.showWarningMessage;
	void show(`Inkling: ${result.message}`);
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
