/**
 * What a click on the status bar item opens: the server's status in plain words, and what can be done about it.
 */

import * as vscode from 'vscode';
import type { Session } from './session';
import { describe, type Line, type Status } from './status';

/** A longer text gets a row of its own. */
const SHORT = 60;

interface Row extends vscode.QuickPickItem {
	readonly run?: () => unknown;
}

/** Show it; `actions` are offered below the status, also while no server answers. */
export async function showMenu(session: Session, actions: readonly Row[]): Promise<void> {
	const rows = [separator('Status'), ...(await state(session)).map(row), separator('Do'), ...actions];
	const picked = await vscode.window.showQuickPick(rows, {
		title: 'Inkling',
		placeHolder: 'What is going on, and what can be done',
		matchOnDescription: true,
	});
	await picked?.run?.();
}

async function state(session: Session): Promise<Line[]> {
	try {
		return describe(await session.request<Status>('inkling/status'), Date.now());
	} catch (error) {
		return [{ label: '$(error) Server', detail: error instanceof Error ? error.message : String(error) }];
	}
}

function row({ label, detail }: Line): Row {
	return detail.length > SHORT ? { label, detail } : { label, description: detail };
}

function separator(label: string): Row {
	return { label, kind: vscode.QuickPickItemKind.Separator };
}
