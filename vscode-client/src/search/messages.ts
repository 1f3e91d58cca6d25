/**
 * What the search view and the extension say to each other, and how a hit of the server becomes a row.
 *
 * Pure, and shared by both sides.
 */

/** What may be asked beside the question; an empty text is no filter. */
export interface Filters {
	readonly kind: string;
	readonly language: string;
	readonly path: string;
}

/** One hit of `inkling/search`. */
export interface Hit {
	readonly uri: string;
	readonly path: string;
	readonly range: { readonly start: { readonly line: number }; readonly end: { readonly line: number } };
	readonly language: string;
	readonly kind: string;
	readonly name: string;
	readonly scope: string;
	readonly text: string;
	readonly matched: readonly string[];
}

/** The server's answer; `id` is that of this search. */
export interface Found {
	readonly id?: string;
	readonly hits: readonly Hit[];
}

/** One result as it is shown. */
export interface Row {
	readonly key: string;
	readonly title: string;
	readonly place: string;
	readonly kind: string;
	readonly lines: readonly string[];
	readonly matched: readonly string[];
}

/** From the page. */
export type Said =
	| { readonly type: 'ready' }
	| { readonly type: 'ask'; readonly number: number; readonly query: string; readonly filters: Filters }
	| { readonly type: 'preview' | 'open'; readonly key: string };

/** To the page. `number` is that of the question, so that a late answer to an older one is not shown. */
export type Told =
	/** `focus`: the user wants to type here; else another view of the container may have been opened. */
	| { readonly type: 'start'; readonly query: string; readonly history: readonly string[]; readonly focus: boolean }
	| {
			readonly type: 'rows';
			readonly number: number;
			/** All of them: they take the place of what was shown before. */
			readonly rows: readonly Row[];
			readonly done: boolean;
			readonly note: string;
			readonly history: readonly string[];
	  };

const SHOWN_LINES = 4;
const MOST = 60;

/** Only what was asked for is sent. */
export function question(query: string, filters: Filters): Record<string, string | number> {
	const given = Object.entries(filters).filter(([, value]) => value.trim() !== '');
	return { query, limit: MOST, ...Object.fromEntries(given) };
}

/** Which hit it is: one place is one result, however often it is found. */
export function keyOf({ uri, range }: Hit): string {
	return `${uri}#${range.start.line}-${range.end.line}`;
}

export function rowOf(hit: Hit): Row {
	const named = hit.name ? `${hit.scope ? `${hit.scope}.` : ''}${hit.name}` : '';
	const lines = withoutMargin(hit.text.split('\n').filter((line) => line.trim()));
	return {
		key: keyOf(hit),
		title: named || (lines[0]?.trim() ?? hit.path),
		place: `${hit.path}:${hit.range.start.line + 1}`,
		kind: hit.kind,
		lines: lines.slice(0, SHOWN_LINES),
		matched: hit.matched,
	};
}

/** The lines without what all of them are indented by. */
function withoutMargin(lines: readonly string[]): string[] {
	const margin = Math.min(...lines.map((line) => line.length - line.trimStart().length));
	return lines.map((line) => line.slice(margin));
}
