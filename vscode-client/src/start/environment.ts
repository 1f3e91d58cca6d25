/**
 * The Python environment that is active for the workspace, if the editor knows one.
 *
 * It is the workspace's choice which one that is, so in a workspace that is not trusted there is none. The Python
 * extension is asked where there is one; else the variables of an activated shell count.
 */

import { join } from 'node:path';
import * as vscode from 'vscode';

const PYTHON = 'ms-python.python';
const PATIENCE_MILLISECONDS = 5000;

/** The part of the Python extension's interface that is used here. */
interface Environments {
	getActiveEnvironmentPath(resource?: vscode.Uri): { readonly path: string };
	resolveEnvironment(path: {
		readonly path: string;
	}): Promise<{ readonly executable: { readonly uri?: vscode.Uri } } | undefined>;
	readonly onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
}

/** The interpreter; undefined if there is none, or if it may not be run. */
export async function activeInterpreter(windows: boolean): Promise<string | undefined> {
	if (!vscode.workspace.isTrusted) {
		return undefined;
	}
	return (await asked().catch(() => undefined)) ?? activated(windows);
}

/** Fires once the Python extension was asked, and so is awake: before that nobody can listen to it. */
const awake = new vscode.EventEmitter<Environments>();

/** Calls the listener whenever another environment is chosen. */
export function onInterpreterChange(listener: () => void): vscode.Disposable {
	let held: vscode.Disposable | undefined;
	const waiting = awake.event((environments) => {
		held ??= environments.onDidChangeActiveEnvironmentPath(listener);
	});
	return { dispose: () => vscode.Disposable.from(waiting, ...(held ? [held] : [])).dispose() };
}

async function asked(): Promise<string | undefined> {
	const python = vscode.extensions.getExtension(PYTHON);
	if (python === undefined) {
		return undefined;
	}
	const late = new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE_MILLISECONDS, undefined));
	const environments = environmentsOf(await Promise.race([Promise.resolve(python.activate()), late]));
	if (environments === undefined) {
		return undefined;
	}
	awake.fire(environments);
	const active = environments.getActiveEnvironmentPath(vscode.workspace.workspaceFolders?.[0]?.uri);
	const resolved = await Promise.race([environments.resolveEnvironment(active), late]);
	return resolved?.executable.uri?.fsPath;
}

function environmentsOf(exports: unknown): Environments | undefined {
	return (exports as { environments?: Environments } | undefined)?.environments;
}

function activated(windows: boolean): string | undefined {
	const folder = process.env.VIRTUAL_ENV || process.env.CONDA_PREFIX;
	if (!folder) {
		return undefined;
	}
	const inConda = folder === process.env.CONDA_PREFIX;
	return windows ? join(folder, ...(inConda ? [] : ['Scripts']), 'python.exe') : join(folder, 'bin', 'python');
}
