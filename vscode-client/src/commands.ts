/**
 * The commands of the palette. Each asks the user what is missing, calls the server, and says what came of it.
 *
 * Their names begin with `inkling.client.`: the server's own (`inkling.night`, ...) are registered by the language
 * client, which forwards them.
 */

import * as vscode from 'vscode';
import type { Bar } from './bar';
import { showMenu } from './menu';
import type { Session } from './session';
import { consentInWords, type Status } from './status';

const SNOOZE_MINUTES = 15;

interface Fixed {
	readonly fixed: boolean;
	readonly message: string;
}

/** Register all of them. What a fault looks like to the user is decided in one place: around every command. */
export function registerCommands(session: Session, bar: Bar, output: vscode.LogOutputChannel): vscode.Disposable[] {
	const commands: Record<string, () => unknown> = {
		status: () => showMenu(session, menuRows(bar)),
		restart: () => session.restart(),
		output: () => output.show(),
		snooze: () => snooze(session, bar, bar.snoozed ? 0 : SNOOZE_MINUTES),
		consent: () => chooseConsent(session),
		night: () => night(session),
		reindex: () => reindex(session),
		fix: () => fix(session),
	};
	return Object.entries(commands).map(([name, run]) =>
		vscode.commands.registerCommand(`inkling.client.${name}`, () => saying(output, run)),
	);
}

/** The rows of the menu that do something. */
function menuRows(bar: Bar) {
	const command = (name: string) => () => vscode.commands.executeCommand(`inkling.client.${name}`);
	return [
		{ label: '$(debug-restart) Restart the server', run: command('restart') },
		{ label: '$(record) Choose what is recorded', run: command('consent') },
		bar.snoozed
			? { label: '$(bell) End the snooze', run: command('snooze') }
			: { label: `$(bell-slash) Snooze for ${SNOOZE_MINUTES} minutes`, run: command('snooze') },
		{ label: '$(output) Show the output', run: command('output') },
	];
}

/** Run a command; a fault becomes a message with the way to the output, never silence. */
async function saying(output: vscode.LogOutputChannel, run: () => unknown): Promise<void> {
	try {
		await run();
	} catch (error) {
		const problem = error instanceof Error ? error.message : String(error);
		output.error(problem);
		if ((await vscode.window.showErrorMessage(problem, 'Show Output')) !== undefined) {
			output.show();
		}
	}
}

async function snooze(session: Session, bar: Bar, minutes: number): Promise<void> {
	await session.execute('inkling.snooze', minutes);
	bar.snooze(minutes);
}

async function chooseConsent(session: Session): Promise<void> {
	const { workspaces } = await session.request<Status>('inkling/status');
	if (workspaces.length === 0) {
		void vscode.window.showInformationMessage('Open a folder first: what is recorded is chosen per folder.');
		return;
	}
	const now = new Set(workspaces.map((folder) => folder.consent));
	const choices = ['off', 'local'].map((value) => ({
		value,
		label: value === 'off' ? 'Nothing' : 'On this machine',
		description: now.size === 1 && now.has(value) ? 'as it is now' : '',
		detail:
			value === 'off'
				? 'Suggestions are shown and forgotten; nothing is learned.'
				: `Inkling keeps ${consentInWords(value)}, and nights learn from it. Secrets are taken out.`,
	}));
	const picked = await vscode.window.showQuickPick(choices, {
		title: 'What may Inkling record for the open folders?',
		placeHolder: '`inkling feedback` in a terminal lists, exports and erases what was recorded',
	});
	if (picked === undefined) {
		return;
	}
	const answer = await session.execute<{ error?: string }>('inkling.consent', picked.value);
	if (answer.error) {
		throw new Error(`The choice was not taken: ${answer.error}.`);
	}
	void vscode.window.setStatusBarMessage(`Inkling records ${consentInWords(picked.value)}.`, 5000);
}

/** The server shows the progress and lets the user cancel; here only the verdict is said. */
async function night(session: Session): Promise<void> {
	const verdict = await session.execute<{ reason?: string; message?: string }>('inkling.night');
	const reason = verdict.reason ?? verdict.message ?? 'it ended without a verdict; the output says why';
	void vscode.window.showInformationMessage(`Inkling's night: ${reason}`);
}

async function reindex(session: Session): Promise<void> {
	await session.execute('inkling.reindex');
	void vscode.window.setStatusBarMessage('Inkling looks at all files again.', 5000);
}

async function fix(session: Session): Promise<void> {
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
		{ location: vscode.ProgressLocation.Window, title: 'Inkling mends the finding' },
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
		void vscode.window.showInformationMessage('There is no finding on this line.');
	}
	if (found.length < 2) {
		return found[0];
	}
	const rows = found.map((finding) => ({ label: finding.message, description: finding.source ?? '', finding }));
	return (await vscode.window.showQuickPick(rows, { title: 'Which finding?' }))?.finding;
}
