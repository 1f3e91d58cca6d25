/**
 * Finds the server on this machine: gathers what `resolveServer` has to know, and asks the interpreter it names.
 */

import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import * as vscode from 'vscode';
import { activeInterpreter } from './environment';
import { privatePython } from './plan';
import { isProblem, type Problem } from './problem';
import { whyNot } from './python';
import { askPython } from './run';
import { type Launch, resolveServer } from './server';

/** What the extension keeps between sessions that finding the server needs. */
export interface Kept {
	/** A folder of the extension's own. */
	readonly storage: string;
	/** The program that the private environment was installed in place of. */
	readonly replaced: () => string | undefined;
}

/** The server to start. */
export async function locateServer(kept: Kept): Promise<Launch | Problem> {
	const launch = await nameServer(kept);
	if (isProblem(launch) || !launch.isPython) {
		return launch;
	}
	return whyNot(launch.command, await askPython(launch.command)) ?? launch;
}

/** The program that would be started, before it is asked whether it will do. */
export async function nameServer({ storage, replaced }: Kept): Promise<Launch | Problem> {
	const windows = process.platform === 'win32';
	const [path, interpreter] = [textOf('path'), textOf('interpreter')];
	return resolveServer({
		path,
		interpreter,
		environment: path || interpreter ? undefined : await activeInterpreter(windows),
		trusted: vscode.workspace.isTrusted,
		privatePython: privatePython(storage, windows),
		replaced: replaced(),
		searchPath: process.env.PATH ?? '',
		home: homedir(),
		workspaceFolders: (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath),
		windows,
		isProgram,
		realPath,
	});
}

/** A setting that should be a text; what else stands in the file of settings becomes one. */
export function textOf(setting: 'path' | 'interpreter' | 'install.source'): string {
	return String(vscode.workspace.getConfiguration('inkling').get<unknown>(setting) ?? '').trim();
}

function isProgram(file: string): boolean {
	try {
		accessSync(file, constants.X_OK);
		return statSync(file).isFile();
	} catch {
		return false;
	}
}

function realPath(path: string): string {
	try {
		return realpathSync.native(path);
	} catch {
		return path;
	}
}
