/**
 * The server's answer to `inkling/status`, and how it is put in plain words.
 *
 * Pure. A word of the server that is not known here is shown as it came, so that a newer server can say more.
 */

import { t } from './l10n';

export interface ModelStatus {
	readonly state: 'off' | 'idle' | 'loading' | 'ready' | 'failed';
	readonly base: string;
	readonly adapter: string | null;
	readonly runtime?: string;
	readonly error?: string;
}

export interface IndexStatus {
	readonly phase: string;
	readonly done?: number;
	readonly total?: number;
	readonly seconds_left?: number | null;
	readonly ready?: string;
	readonly files?: number;
	readonly error?: string;
}

export interface Status {
	readonly trusted: boolean;
	readonly model: ModelStatus;
	readonly workspaces: readonly { readonly root: string; readonly index: IndexStatus; readonly consent: string }[];
	readonly lastRefusal: { readonly reason: string; readonly detail: string; readonly at: number } | null;
	readonly told: readonly string[];
}

/** One row: what it is about (with an icon), and what is up with it. */
export interface Line {
	readonly label: string;
	readonly detail: string;
}

/** Everything the status says; `now` is in milliseconds. */
export function describe(status: Status, now: number): Line[] {
	const lines: Line[] = [
		{ label: `$(chip) ${t('Model')}`, detail: modelInWords(status.model) },
		{
			label: `$(layers) ${t('Adapter')}`,
			detail: status.model.adapter ?? t('none: no night has found a better one yet'),
		},
	];
	if (status.workspaces.length === 0) {
		lines.push({ label: `$(folder) ${t('Folder')}`, detail: t('none is open, so there is nothing to index or record') });
	}
	for (const folder of status.workspaces) {
		const of = (what: string, whatOf: (name: string) => string) =>
			status.workspaces.length > 1 ? whatOf(nameOf(folder.root)) : what;
		lines.push(
			{ label: `$(search) ${of(t('Index'), (name) => t('Index of {0}', name))}`, detail: indexInWords(folder.index) },
			{ label: `$(record) ${of(t('Recorded'), (name) => t('Recorded of {0}', name))}`, detail: consentInWords(folder.consent) },
		);
	}
	if (!status.trusted) {
		lines.push({
			label: `$(shield) ${t('Not trusted')}`,
			detail: t('linters that run programs of this workspace stay off until you trust it'),
		});
	}
	if (status.lastRefusal !== null) {
		lines.push({
			label: `$(comment-unresolved) ${t('Nothing was offered')}`,
			detail: `${ago(now / 1000 - status.lastRefusal.at)}: ${status.lastRefusal.detail || status.lastRefusal.reason}`,
		});
	}
	return [...lines, ...status.told.map((problem) => ({ label: `$(warning) ${t('Problem')}`, detail: problem }))];
}

/** True while it is worth asking again soon. */
export function isWarmingUp(model: ModelStatus): boolean {
	return model.state === 'idle' || model.state === 'loading';
}

export function modelInWords(model: ModelStatus): string {
	switch (model.state) {
		case 'ready':
			return model.runtime ? t('{0} is ready ({1})', model.base, model.runtime) : t('{0} is ready', model.base);
		case 'idle':
			return t('{0} is not loaded yet', model.base);
		case 'loading':
			return t('{0} is being loaded', model.base);
		case 'off':
			return t('there is none: run `inkling models pull {0}` in a terminal, then restart the server', model.base);
		case 'failed':
			return t('{0} could not be loaded: {1}', model.base, model.error ?? t('the log says why'));
		default:
			return String(model.state);
	}
}

export function indexInWords(index: IndexStatus): string {
	if (index.error) {
		return index.error;
	}
	const total = index.total ? ` ${t('{0} of {1}', index.done ?? 0, index.total)}` : '';
	const left = typeof index.seconds_left === 'number' ? `, ${t('about {0} s left', Math.ceil(index.seconds_left))}` : '';
	switch (index.phase) {
		case 'off':
			return t('switched off (inkling.index.enabled)');
		case 'starting':
			return t('is being started');
		case 'walk':
			return `${t('looking for files')}${total}${left}`;
		case 'chunk':
			return `${t('reading files')}${total}${left}`;
		case 'embed':
			return `${t('learning what they mean')}${total}${left}`;
		case 'waiting':
			return t('another window is building it');
		case 'ready': {
			const counted = index.files === 1 ? t('1 file') : t('{0} files', index.files ?? 0);
			const files = index.files === undefined ? '' : `, ${counted}`;
			return `${index.ready === 'words' ? t('ready for search by words') : t('ready')}${files}`;
		}
		default:
			return `${index.phase}${total}${left}`;
	}
}

export function consentInWords(consent: string): string {
	switch (consent) {
		case 'off':
			return t('nothing');
		case 'local':
			return t('suggestions and what became of them, on this machine only');
		case 'team':
			return t("suggestions and what became of them, also for the team's service");
		default:
			return consent;
	}
}

function ago(seconds: number): string {
	if (seconds < 60) {
		return t('just now');
	}
	const minutes = Math.round(seconds / 60);
	return minutes < 60 ? t('{0} min ago', minutes) : t('{0} h ago', Math.round(minutes / 60));
}

function nameOf(root: string): string {
	return root.split(/[\\/]/).filter(Boolean).at(-1) ?? root;
}
