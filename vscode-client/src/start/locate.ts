/**
 * Finds the server on this machine: gathers what `resolveServer` has to know, and asks the interpreter it names.
 */

import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import * as vscode from 'vscode';
import { activeInterpreter } from './environment';
import { privatePython } from './plan';
import { isProblem, type Problem } from './problem';
import { whyNot } from './python';
import { askPython } from './run';
import { type Launch, resolveServer } from './server';

/** The server to start; `storage` is the extension's own folder. */
export async function locateServer(storage: string): Promise<Launch | Problem> {
	const configuration = vscode.workspace.getConfiguration('inkling');
	const windows = process.platform === 'win32';
	const [path, interpreter] = [configuration.get('path', ''), configuration.get('interpreter', '')];
	const launch = resolveServer({
		path,
		interpreter,
		environment: path || interpreter ? undefined : await activeInterpreter(windows),
		trusted: vscode.workspace.isTrusted,
		privatePython: privatePython(storage, windows),
		searchPath: process.env.PATH ?? '',
		home: homedir(),
		workspaceFolder: vscode.workspace.workspaceFolders?.[0]?.uri.fsPath,
		windows,
		isProgram,
	});
	if (isProblem(launch) || !launch.isPython) {
		return launch;
	}
	return whyNot(launch.command, await askPython(launch.command)) ?? launch;
}

export function isProgram(file: string): boolean {
	try {
		accessSync(file, constants.X_OK);
		return statSync(file).isFile();
	} catch {
		return false;
	}
}
