/**
 * The commands of the palette. Each asks the user what is missing, calls the server, and says what came of it.
 *
 * Their names begin with `inkling.client.`: the server's own (`inkling.night`, ...) are registered by the language
 * client, which forwards them.
 */

import * as vscode from 'vscode';
import type { ConsentPage } from './consent/consent';
import { eraseRecorded, exportRecorded, seeRecorded } from './consent/recorded';
import { fixFinding } from './fixing';
import type { Ghost } from './ghost/ghost';
import type { Snooze } from './ghost/snooze';
import { showInsights } from './insights/view';
import { t } from './l10n';
import { showMenu } from './menu';
import type { SearchView } from './search/view';
import type { Session } from './start/session';

export interface Parts {
	readonly session: Session;
	readonly ghost: Ghost;
	readonly snooze: Snooze;
	readonly consent: ConsentPage;
	readonly search: SearchView;
	readonly output: vscode.LogOutputChannel;
	readonly install: () => unknown;
}

/** Register all of them. What a fault looks like to the user is decided in one place: around every command. */
export function registerCommands(parts: Parts): vscode.Disposable[] {
	const { session, ghost, snooze, consent, search, output, install } = parts;
	const commands: Record<string, () => unknown> = {
		status: () => showMenu(session, snooze),
		restart: () => session.restart(),
		install,
		output: () => output.show(),
		snooze: () => snooze.choose(),
		consent: () => consent.show(),
		recorded: () => seeRecorded(session),
		export: () => exportRecorded(session),
		erase: () => eraseRecorded(session),
		search: () => search.show(),
		insights: () => showInsights(session),
		night: () => night(session),
		reindex: () => reindex(session),
		fix: () => fixFinding(session),
		trigger: () => ghost.trigger(),
		acceptWord: () => ghost.take('Word'),
		acceptLine: () => ghost.take('Line'),
		dismiss: () => ghost.dismiss(),
		next: () => ghost.cycle(1),
		previous: () => ghost.cycle(-1),
	};
	return Object.entries(commands).map(([name, run]) =>
		vscode.commands.registerCommand(`inkling.client.${name}`, () => saying(output, run)),
	);
}

/** Run a command; a fault becomes a message with the way to the output, never silence. */
export async function saying(output: vscode.LogOutputChannel, run: () => unknown): Promise<void> {
	try {
		await run();
	} catch (error) {
		const problem = error instanceof Error ? error.message : String(error);
		output.error(problem);
		const show = t('Show Output');
		if ((await vscode.window.showErrorMessage(problem, show)) === show) {
			output.show();
		}
	}
}

/** The server shows the progress and lets the user cancel; here only the verdict is said. */
async function night(session: Session): Promise<void> {
	const verdict = await session.execute<{ reason?: string; message?: string }>('inkling.night');
	const reason = verdict.reason ?? verdict.message ?? t('it ended without a verdict; the output says why');
	void vscode.window.showInformationMessage(t("Inkling's night: {0}", reason));
}

async function reindex(session: Session): Promise<void> {
	await session.execute('inkling.reindex');
	void vscode.window.setStatusBarMessage(t('Inkling looks at all files again.'), 5000);
}
