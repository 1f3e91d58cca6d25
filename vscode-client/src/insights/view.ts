/**
 * Insights: what the user's suggestions came to, as the page of plots that `inkling insights` makes.
 */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { t } from '../l10n';
import { ask } from '../start/run';
import type { Session } from '../start/session';
import { underTheme } from './page';

const DAYS = [7, 30, 90, 365];

/** Ask for how long, and show the page. */
export async function showInsights(session: Session): Promise<void> {
	const { launch } = session;
	if (launch === undefined) {
		throw new Error(t('The Inkling server is not running.'));
	}
	const rows = DAYS.map((days) => ({ label: t('The last {0} days', days), days }));
	const picked = await vscode.window.showQuickPick(rows, { title: t('Insights') });
	if (picked === undefined) {
		return;
	}
	const html = await vscode.window.withProgress(
		{ location: vscode.ProgressLocation.Window, title: t('Inkling draws the plots') },
		() => drawn(launch, picked.days),
	);
	const panel = vscode.window.createWebviewPanel('inkling.insights', t('Inkling: Insights'), vscode.ViewColumn.Active, {
		enableScripts: false,
		localResourceRoots: [],
	});
	panel.webview.html = underTheme(html);
}

async function drawn(launch: { command: string; args: readonly string[] }, days: number): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), 'inkling-insights-'));
	try {
		const file = join(folder, 'insights.html');
		await ask(launch.command, [...launch.args, 'insights', '--days', String(days), '--output', file]);
		return await readFile(file, 'utf8');
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}
