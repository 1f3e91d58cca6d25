/**
 * One question in stages: a few results as soon as they are there, then the rest.
 *
 * Pure. A hit that came in an earlier stage does not come again, so that what is on screen never jumps.
 */

import { type Filters, type Hit, keyOf } from './messages';

const STAGES = [8, 60];

/** What the server is asked. */
export interface Question {
	readonly query: string;
	readonly limit: number;
	readonly kind?: string;
	readonly language?: string;
	readonly path?: string;
}

export interface Stage {
	readonly hits: readonly Hit[];
	readonly done: boolean;
}

/** The new hits of each stage. */
export async function* search(
	query: string,
	filters: Filters,
	ask: (question: Question) => Promise<readonly Hit[]>,
): AsyncGenerator<Stage> {
	const given = Object.fromEntries(Object.entries(filters).filter(([, value]) => value.trim() !== ''));
	const seen = new Set<string>();
	for (const [number, limit] of STAGES.entries()) {
		const all = await ask({ query, limit, ...given });
		const hits = all.filter((hit) => !seen.has(keyOf(hit)));
		for (const hit of hits) {
			seen.add(keyOf(hit));
		}
		const done = number === STAGES.length - 1 || all.length < limit;
		yield { hits, done };
		if (done) {
			return;
		}
	}
}
