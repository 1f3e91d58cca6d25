/**
 * Says a problem with the server to the user, with a button for each thing that mends it.
 */

import * as vscode from 'vscode';
import { t } from '../l10n';
import type { Mend, Problem } from './problem';

/** What the buttons do is the caller's. */
export type Cures = Readonly<Record<Mend, () => unknown>>;

const IN_ONE_MESSAGE = 3;

export async function sayProblem({ problem, mends }: Problem, grave: boolean, cures: Cures): Promise<void> {
	const buttons = mends.slice(0, IN_ONE_MESSAGE).map((mend) => ({ title: title(mend), mend }));
	const picked = grave
		? await vscode.window.showErrorMessage(problem, ...buttons)
		: await vscode.window.showWarningMessage(problem, ...buttons);
	if (picked !== undefined) {
		await cures[picked.mend]();
	}
}

/** What each button does, as far as the editor can do it alone. */
export function cures(install: () => unknown, restart: () => unknown, output: vscode.LogOutputChannel): Cures {
	const settings = (name: string) => () => vscode.commands.executeCommand('workbench.action.openSettings', name);
	return {
		install,
		reinstall: install,
		path: settings('inkling.path'),
		interpreter: settings('inkling.interpreter'),
		retry: restart,
		output: () => output.show(),
		extensions: () => vscode.commands.executeCommand('workbench.extensions.search', '@installed inkling'),
		trust: () => vscode.commands.executeCommand('workbench.trust.manage'),
	};
}

function title(mend: Mend): string {
	switch (mend) {
		case 'install':
			return t('Install');
		case 'reinstall':
			return t('Update the Server');
		case 'path':
		case 'interpreter':
			return t('Open Settings');
		case 'retry':
			return t('Try Again');
		case 'output':
			return t('Show Output');
		case 'extensions':
			return t('Show the Extension');
		case 'trust':
			return t('Manage Trust');
	}
}
