/**
 * What a click on the status bar item opens: the server's status in plain words, and what can be done about it.
 */

import * as vscode from 'vscode';
import { isOff, type Snooze, switchLanguage } from './ghost/snooze';
import { t } from './l10n';
import type { Session } from './start/session';
import { describe, type Line, type Status } from './status';

/** A longer text gets a row of its own. */
const SHORT = 60;

interface Row extends vscode.QuickPickItem {
	readonly run?: () => unknown;
}

/** Show it; what can be done is offered also while no server answers. */
export async function showMenu(session: Session, snooze: Snooze): Promise<void> {
	const status = (await state(session)).map(row);
	const rows = [
		separator(t('Status')),
		...status,
		separator(t('Switches')),
		...switches(snooze),
		separator(t('Do')),
		...actions(session),
	];
	const picked = await vscode.window.showQuickPick(rows, {
		title: 'Inkling',
		placeHolder: t('What is going on, and what can be done'),
		matchOnDescription: true,
	});
	await picked?.run?.();
}

async function state(session: Session): Promise<Line[]> {
	try {
		return describe(await session.request<Status>('inkling/status'), Date.now());
	} catch (error) {
		const { state } = session;
		const detail = state.kind === 'failed' ? state.problem.problem : error instanceof Error ? error.message : String(error);
		return [{ label: `$(error) ${t('Server')}`, detail }];
	}
}

function switches(snooze: Snooze): Row[] {
	const completion = vscode.workspace.getConfiguration('inkling.completion');
	const [enabled, mode] = [completion.get('enabled', true), completion.get('mode', 'balanced')];
	const language = vscode.window.activeTextEditor?.document.languageId;
	return [
		{
			label: enabled ? `$(circle-slash) ${t('Switch completions off')}` : `$(check) ${t('Switch completions on')}`,
			run: () => completion.update('enabled', !enabled, vscode.ConfigurationTarget.Global),
		},
		...(language === undefined
			? []
			: [
					{
						label: isOff(language)
							? `$(check) ${t('Switch completions on in {0}', language)}`
							: `$(circle-slash) ${t('Switch completions off in {0}', language)}`,
						run: () => switchLanguage(language),
					},
				]),
		{
			label: snooze.active ? `$(bell) ${t('End the snooze')}` : `$(bell-slash) ${t('Snooze ...')}`,
			run: () => (snooze.active ? snooze.rest(0) : snooze.choose()),
		},
		{ label: `$(settings) ${t('How much is shown ...')}`, description: mode, run: () => chooseMode(mode) },
	];
}

async function chooseMode(now: string): Promise<void> {
	const modes = [
		{ label: 'eager', detail: t('Show nearly everything.') },
		{ label: 'balanced', detail: t('Show what will probably be kept.') },
		{ label: 'quiet', detail: t('Show only what the model is sure of.') },
	].map((mode) => ({ ...mode, description: mode.label === now ? t('as it is now') : '' }));
	const picked = await vscode.window.showQuickPick(modes, { title: t('How much ghost text?') });
	if (picked !== undefined) {
		const completion = vscode.workspace.getConfiguration('inkling.completion');
		await completion.update('mode', picked.label, vscode.ConfigurationTarget.Global);
	}
}

function actions(session: Session): Row[] {
	const command = (name: string) => () => vscode.commands.executeCommand(`inkling.client.${name}`);
	const trust = () => vscode.commands.executeCommand('workbench.trust.manage');
	return [
		...(vscode.workspace.isTrusted ? [] : [{ label: `$(shield) ${t('Manage trust in this workspace')}`, run: trust }]),
		...(session.state.kind === 'failed' ? [{ label: `$(cloud-download) ${t('Install the server')}`, run: command('install') }] : []),
		{ label: `$(search) ${t('Search by meaning')}`, run: command('search') },
		{ label: `$(comment-discussion) ${t('Ask the agent')}`, run: command('agent') },
		{ label: `$(graph) ${t('Show insights')}`, run: command('insights') },
		{ label: `$(record) ${t('Choose what is recorded')}`, run: command('consent') },
		{ label: `$(debug-restart) ${t('Restart the server')}`, run: command('restart') },
		{ label: `$(output) ${t('Show the output')}`, run: command('output') },
	];
}

function row({ label, detail }: Line): Row {
	return detail.length > SHORT ? { label, detail } : { label, description: detail };
}

function separator(label: string): Row {
	return { label, kind: vscode.QuickPickItemKind.Separator };
}
