/**
 * The button "Install": makes a private environment, installs the server into it, and fetches the default model.
 *
 * It only begins when the user asks, shows every step and can be stopped. What is installed is what the setting
 * `inkling.install.source` names, or what the user points at; nothing is taken from the workspace.
 */

import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import * as vscode from 'vscode';
import { t } from '../l10n';
import { textOf } from './locate';
import { privatePython, pythonsToTry, steps, whyStepFailed } from './plan';
import { isProblem, type Problem } from './problem';
import { choosePython, isNewEnough, type Python, whyNot } from './python';
import { askPython, ProgramFailed, work } from './run';

/**
 * Install; `begin` is waited for before anything is changed.
 *
 * Returns the problem if it did not come to an end, undefined if it did, 'stopped' if the user did not want it.
 */
export async function installServer(
	storage: string,
	output: vscode.LogOutputChannel,
	begin: () => Promise<void>,
): Promise<Problem | 'stopped' | undefined> {
	const source = await chooseSource();
	if (source === undefined) {
		return 'stopped';
	}
	const windows = process.platform === 'win32';
	const found = await pythons(windows);
	const python = choosePython(found.map(({ python }) => python));
	if (isProblem(python)) {
		return python;
	}
	const chosen = found.find((one) => one.python === python)?.call ?? { command: python.file, first: [] };
	await begin();
	mkdirSync(storage, { recursive: true });
	output.info(`Installing ${source} with ${python.file} (Python ${python.version.join('.')})`);
	return vscode.window.withProgress(
		{ location: vscode.ProgressLocation.Notification, title: 'Inkling', cancellable: true },
		async (progress, token) => {
			const stopper = new AbortController();
			token.onCancellationRequested(() => stopper.abort());
			const all = steps(chosen, storage, source, windows, homedir());
			for (const [number, step] of all.entries()) {
				progress.report({ message: `${step.title} (${number + 1}/${all.length})` });
				output.info(`${step.title}: ${[step.command, ...step.args].join(' ')}`);
				try {
					await work(step.command, step.args, (line) => output.info(`  ${line}`), stopper.signal);
				} catch (error) {
					if (token.isCancellationRequested) {
						return 'stopped';
					}
					return whyStepFailed(step, error instanceof ProgramFailed ? `${error.message}\n${error.said}` : String(error));
				}
			}
			const own = privatePython(storage, windows);
			return whyNot(own, await askPython(own));
		},
	);
}

interface Found {
	readonly call: { readonly command: string; readonly first: readonly string[] };
	readonly python: Python;
}

/** The interpreters of this machine, the setting's first; those that do not answer are left out. */
async function pythons(windows: boolean): Promise<Found[]> {
	const named = textOf('interpreter');
	const calls = [...(named ? [{ command: named, first: [] }] : []), ...pythonsToTry(windows)];
	const found: Found[] = [];
	for (const call of calls) {
		const python = await askPython(call.command, call.first);
		if (python !== undefined) {
			found.push({ call, python });
			if (isNewEnough(python)) {
				break;
			}
		}
	}
	return found;
}

/** What to install: the setting, else what the user points at. */
async function chooseSource(): Promise<string | undefined> {
	const configured = textOf('install.source');
	if (configured) {
		return configured;
	}
	const folder = { label: `$(folder) ${t('A folder with Inkling’s source')}`, isFolder: true };
	const wheel = { label: `$(package) ${t('A wheel (a file that ends in .whl)')}`, isFolder: false };
	const picked = await vscode.window.showQuickPick([folder, wheel], {
		title: t('What shall be installed?'),
		placeHolder: t('The setting inkling.install.source answers this once and for all'),
		ignoreFocusOut: true,
	});
	if (picked === undefined) {
		return undefined;
	}
	const chosen = await vscode.window.showOpenDialog({
		canSelectFiles: !picked.isFolder,
		canSelectFolders: picked.isFolder,
		openLabel: t('Install'),
		...(picked.isFolder ? {} : { filters: { Wheel: ['whl'] } }),
	});
	return chosen?.[0]?.fsPath;
}
