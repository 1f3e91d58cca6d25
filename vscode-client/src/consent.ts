/**
 * What may be recorded, chosen by the user for the open folders.
 */

import * as vscode from 'vscode';
import { t } from './l10n';
import type { Session } from './start/session';
import { consentInWords, type Status } from './status';

/** Ask, and tell the server. */
export async function chooseConsent(session: Session): Promise<void> {
	const { workspaces } = await session.request<Status>('inkling/status');
	if (workspaces.length === 0) {
		void vscode.window.showInformationMessage(t('Open a folder first: what is recorded is chosen per folder.'));
		return;
	}
	const now = new Set(workspaces.map((folder) => folder.consent));
	const choices = ['off', 'local'].map((value) => ({
		value,
		label: value === 'off' ? t('Nothing') : t('On this machine'),
		description: now.size === 1 && now.has(value) ? t('as it is now') : '',
		detail:
			value === 'off'
				? t('Suggestions are shown and forgotten; nothing is learned.')
				: t('Inkling keeps {0}, and nights learn from it. Secrets are taken out.', consentInWords(value)),
	}));
	const picked = await vscode.window.showQuickPick(choices, {
		title: t('What may Inkling record for the open folders?'),
	});
	if (picked === undefined) {
		return;
	}
	const answer = await session.execute<{ error?: string }>('inkling.consent', picked.value);
	if (answer.error) {
		throw new Error(t('The choice was not taken: {0}.', answer.error));
	}
}
