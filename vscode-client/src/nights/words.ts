/**
 * Nights and adapters as the server tells them, and how they are put in plain words. Pure.
 */

import { t } from '../l10n';

/** A night that runs, or the last one. */
export interface Night {
	readonly status: string;
	readonly phase: string;
	readonly message: string;
	readonly done: number;
	readonly total: number;
	readonly verdict?: { readonly code?: string } | null;
	/** In seconds since 1970. */
	readonly started: number;
}

/** `night` of `inkling/status`. */
export interface NightStatus {
	readonly schedule: string;
	readonly next?: string | null;
	readonly waitsFor?: string | null;
	readonly problem?: string;
	readonly last: Night | null;
}

/** One of `inkling.adapters`. */
export interface Adapter {
	readonly name: string;
	readonly state: 'candidate' | 'canary' | 'champion' | 'retired';
	readonly base: string;
	readonly at: number;
	readonly status: string | null;
	readonly reason: string | null;
	readonly note: string;
	readonly problem: string | null;
	/** Its weights are gone, only the record is left. */
	readonly dropped: boolean;
}

export interface Adapters {
	readonly base: string;
	readonly served: string | null;
	readonly before: string | null;
	readonly canRollBack: boolean;
	readonly adapters: readonly Adapter[];
}

/** A row: a label, what stands beside it, what a mouse over it says, an icon, and what can be done with it. */
export interface Row {
	readonly label: string;
	readonly description: string;
	readonly tooltip: string;
	readonly icon: string;
	readonly context: string;
	readonly adapter?: Adapter;
}

export function isRunning(night: NightStatus | undefined): boolean {
	return night?.last != null && ['running', 'waiting'].includes(night.last.status);
}

/** The rows above the adapters: the night that runs or ran, and the next one. */
export function nightRows(night: NightStatus | undefined, served: string | null, base: string): Row[] {
	const last = night?.last;
	const rows: Row[] = [];
	if (isRunning(night) && last) {
		const much = last.total > 0 ? ` ${Math.floor((100 * last.done) / last.total)} %` : '';
		rows.push(row(t('A night runs{0}', much), last.message || last.phase, 'loading~spin', 'night.running'));
	} else {
		const when = night?.next ? t('next: {0}', night.next.replace('T', ' ')) : t('started by hand only');
		const waits = night?.waitsFor ? `, ${t('waits: {0}', night.waitsFor)}` : '';
		rows.push(row(t('Nights'), night?.problem ?? `${when}${waits}`, 'clock', 'night.idle'));
		if (last) {
			rows.push(row(t('The last night: {0}', verdictWord(last.status, last.verdict?.code)), last.message, verdictIcon(last.status), 'night.last'));
		}
	}
	rows.push(row(t('Served'), served ?? t('{0} as it is shipped', base), 'play-circle', served ? 'served.adapter' : 'served.base'));
	return rows;
}

/** Newest first, as the server sends them. */
export function adapterRows({ adapters, base }: Adapters): Row[] {
	return adapters.map((adapter) => {
		const where = adapter.base === base ? '' : t('for {0}', adapter.base);
		const said = adapter.problem ?? adapter.note.split('\n', 1)[0] ?? '';
		const lines = [adapter.reason, adapter.problem, adapter.note && t('Your note: {0}', adapter.note)];
		return {
			label: adapter.name,
			description: [stateWord(adapter.state), adapter.dropped ? t('weights dropped') : '', where, said].filter(Boolean).join(' · '),
			tooltip: lines.filter(Boolean).join('\n\n'),
			icon: adapter.problem ? 'warning' : ICONS[adapter.state],
			context: `adapter.${adapter.dropped ? 'dropped' : adapter.state}`,
			adapter,
		};
	});
}

const ICONS = { champion: 'star-full', canary: 'star-half', candidate: 'circle-outline', retired: 'archive' };

function row(label: string, description: string, icon: string, context: string): Row {
	return { label, description, tooltip: description, icon, context };
}

function stateWord(state: Adapter['state']): string {
	return { champion: t('champion'), canary: t('canary'), candidate: t('candidate'), retired: t('retired') }[state];
}

function verdictWord(status: string, code = ''): string {
	if (code === 'on_trial' || code === 'nothing_new') {
		return t('nothing to train');
	}
	const words: Record<string, string> = {
		promoted: t('promoted'),
		refused: t('refused'),
		skipped: t('not enough data'),
		failed: t('failed'),
		cancelled: t('stopped'),
		paused: t('paused'),
		killed: t('ended by force'),
	};
	return words[status] ?? status;
}

function verdictIcon(status: string): string {
	return { promoted: 'pass', refused: 'circle-slash', failed: 'error' }[status] ?? 'history';
}
