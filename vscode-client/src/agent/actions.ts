/**
 * Code actions of the agent: fix a finding, explain, document, write a test.
 *
 * They only name commands. A fix is offered where there is a finding; the others for a selection, or on demand.
 */

import * as vscode from 'vscode';
import { t } from '../l10n';

const REFACTOR = vscode.CodeActionKind.Refactor.append('inkling');

export class AgentActions implements vscode.CodeActionProvider {
	static register(): vscode.Disposable {
		return vscode.languages.registerCodeActionsProvider([{ scheme: 'file' }], new AgentActions(), {
			providedCodeActionKinds: [vscode.CodeActionKind.QuickFix, REFACTOR],
		});
	}

	provideCodeActions(
		_document: vscode.TextDocument,
		range: vscode.Range,
		context: vscode.CodeActionContext,
	): vscode.CodeAction[] {
		const action = (title: string, name: string, kind: vscode.CodeActionKind, ...args: unknown[]) => {
			const made = new vscode.CodeAction(title, kind);
			made.command = { command: `inkling.client.${name}`, title, arguments: args };
			return made;
		};
		const fixes = context.diagnostics.map((finding) => {
			const made = action(t('Inkling: fix this'), 'fix', vscode.CodeActionKind.QuickFix, finding);
			made.diagnostics = [finding];
			return made;
		});
		const isAsked = context.triggerKind === vscode.CodeActionTriggerKind.Invoke || !range.isEmpty;
		return isAsked
			? [
					...fixes,
					action(t('Inkling: explain'), 'explain', REFACTOR, range),
					action(t('Inkling: document'), 'document', REFACTOR, range),
					action(t('Inkling: write a test'), 'test', REFACTOR, range),
				]
			: fixes;
	}
}
