/**
 * Offers the server's MCP face (`inkling mcp`: search, files and findings, read-only) to the editor's own agents.
 *
 * One server per open folder, started by the editor when its user allows it. Programs of the workspace are run only
 * where the workspace is trusted, as everywhere.
 */

import * as vscode from 'vscode';
import { DROPPED } from './start/run';
import type { Session } from './start/session';

const ID = 'inkling.mcp';
/** What may not reach a Python program is taken out of the editor's variables: null removes one. */
const WITHOUT = Object.fromEntries(DROPPED.map((name) => [name, null]));

export function offerMcp(session: Session, version: string): vscode.Disposable[] {
	if (vscode.lm?.registerMcpServerDefinitionProvider === undefined) {
		return []; // another editor than VS Code
	}
	const changed = new vscode.EventEmitter<void>();
	let launched = '';
	return [
		changed,
		session.onChange(() => {
			const now = JSON.stringify(session.launch ?? '');
			if (now !== launched) {
				launched = now;
				changed.fire();
			}
		}),
		vscode.workspace.onDidChangeWorkspaceFolders(() => changed.fire()),
		vscode.workspace.onDidGrantWorkspaceTrust(() => changed.fire()),
		vscode.lm.registerMcpServerDefinitionProvider(ID, {
			onDidChangeMcpServerDefinitions: changed.event,
			provideMcpServerDefinitions: () => definitions(session, version),
		}),
	];
}

/** None while no server was found. */
export function definitions(session: Session, version: string): vscode.McpStdioServerDefinition[] {
	const { launch } = session;
	const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === 'file');
	if (launch === undefined) {
		return [];
	}
	return folders.map(({ name, uri }) => {
		const label = folders.length === 1 ? 'Inkling' : `Inkling: ${name}`;
		const trust = vscode.workspace.isTrusted ? ['--trust'] : [];
		const args = [...launch.args, 'mcp', '--root', uri.fsPath, ...trust];
		return new vscode.McpStdioServerDefinition(label, launch.command, args, WITHOUT, version);
	});
}
