/**
 * The commands of the palette. Each asks the user what is missing, calls the server, and says what came of it.
 *
 * Their names begin with `inkling.client.`: the server's own (`inkling.night`, ...) are registered by the language
 * client, which forwards them.
 */

import * as vscode from 'vscode';
import type { AgentView } from './agent/view';
import type { ConsentPage } from './consent/consent';
import { eraseRecorded, exportRecorded, seeRecorded } from './consent/recorded';
import { fixFinding } from './fixing';
import type { Ghost } from './ghost/ghost';
import type { Snooze } from './ghost/snooze';
import { showInsights } from './insights/view';
import { t } from './l10n';
import { showMenu } from './menu';
import type { NightsView } from './nights/view';
import type { Row } from './nights/words';
import type { SearchView } from './search/view';
import type { Session } from './start/session';

export interface Parts {
	readonly session: Session;
	readonly ghost: Ghost;
	readonly snooze: Snooze;
	readonly consent: ConsentPage;
	readonly search: SearchView;
	readonly agent: AgentView;
	readonly nights: NightsView;
	readonly output: vscode.LogOutputChannel;
	readonly install: () => unknown;
}

/** Register all of them. What a fault looks like to the user is decided in one place: around every command. */
export function registerCommands(parts: Parts): vscode.Disposable[] {
	const { session, ghost, snooze, consent, search, agent, nights, output, install } = parts;
	const commands: Record<string, (...args: never[]) => unknown> = {
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
		night: () => nights.begin(),
		stopNight: () => nights.stop(),
		promote: (row?: Row) => nights.promote(row),
		rollback: () => nights.rollBack(),
		note: (row?: Row) => nights.note(row),
		reindex: () => reindex(session),
		fix: (finding?: vscode.Diagnostic) => fixFinding(session, agent, finding),
		agent: () => agent.show(),
		explain: (range?: vscode.Range) => agent.about('explain', range),
		document: (range?: vscode.Range) => agent.about('document', range),
		test: (range?: vscode.Range) => agent.about('test', range),
		applyReviewed: () => agent.onReviewed('apply'),
		denyReviewed: () => agent.onReviewed('deny'),
		trigger: () => ghost.trigger(),
		acceptWord: () => ghost.take('Word'),
		acceptLine: () => ghost.take('Line'),
		dismiss: () => ghost.dismiss(),
		next: () => ghost.cycle(1),
		previous: () => ghost.cycle(-1),
	};
	return Object.entries(commands).map(([name, run]) =>
		vscode.commands.registerCommand(`inkling.client.${name}`, (...args: never[]) => saying(output, () => run(...args))),
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

async function reindex(session: Session): Promise<void> {
	await session.execute('inkling.reindex');
	void vscode.window.setStatusBarMessage(t('Inkling looks at all files again.'), 5000);
}
