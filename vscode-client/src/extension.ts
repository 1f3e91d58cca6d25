/**
 * The entry point: puts session, status bar and commands together, and hears of trust and settings.
 *
 * Everything that could be the server's work is the server's work; this extension starts it and shows what it says.
 */

import * as vscode from 'vscode';
import { Bar } from './bar';
import { registerCommands } from './commands';
import { INSTALL, type Missing } from './server';
import { Session } from './session';

let session: Session | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
	const output = vscode.window.createOutputChannel('Inkling', { log: true });
	const running = new Session(output, declaredSettings(context.extension.packageJSON));
	session = running;
	const bar = new Bar(running, 'inkling.client.status');
	context.subscriptions.push(
		output,
		bar,
		...registerCommands(running, bar, output),
		running.onChange((state) => {
			if (state.kind === 'failed') {
				void sayProblem(state.problem, state.missing, output);
			}
		}),
		vscode.workspace.onDidGrantWorkspaceTrust(() => running.restart()),
		vscode.workspace.onDidChangeConfiguration((event) => {
			if (event.affectsConfiguration('inkling.path') || event.affectsConfiguration('inkling.interpreter')) {
				void running.restart();
			} else if (event.affectsConfiguration('inkling')) {
				running.configure();
			}
		}),
	);
	await running.restart();
}

export async function deactivate(): Promise<void> {
	await session?.stop();
}

/** The names of all settings in package.json, without `inkling.`. */
function declaredSettings(manifest: {
	contributes: { configuration: readonly { properties: object }[] };
}): string[] {
	return manifest.contributes.configuration
		.flatMap((section) => Object.keys(section.properties))
		.map((name) => name.replace(/^inkling\./, ''));
}

/** Say why there is no server, with buttons for what mends it. */
async function sayProblem(problem: string, missing: Missing | undefined, output: vscode.LogOutputChannel) {
	const settings = { title: 'Open Settings', run: () => openSettings(missing?.setting ?? 'inkling') };
	const copy = { title: 'Copy Install Command', run: () => vscode.env.clipboard.writeText(INSTALL) };
	const show = { title: 'Show Output', run: () => output.show() };
	const retry = { title: 'Try Again', run: () => session?.restart() };
	const buttons = missing ? [settings, ...(missing.install ? [copy] : []), retry] : [show, settings, retry];
	await (await vscode.window.showErrorMessage(problem, ...buttons))?.run();
}

function openSettings(name: string): Thenable<unknown> {
	return vscode.commands.executeCommand('workbench.action.openSettings', name);
}
