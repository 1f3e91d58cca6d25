/**
 * A run as a list of blocks, and a list of elements that follows it: what did not change stays the same element.
 *
 * So a button keeps its focus and a click that began, however fast text streams in above it. Knows no document: whoever
 * has one makes the elements.
 */

import type { Part, Proposal, Run } from './run';

export type Block = { readonly key: string } & (
	| { readonly kind: 'title'; readonly run: Pick<Run, 'kind' | 'title' | 'state' | 'model'> }
	| { readonly kind: 'part'; readonly part: Part }
	| { readonly kind: 'note'; readonly text: string }
	| { readonly kind: 'unfinished'; readonly turns: number }
	| { readonly kind: 'proposals'; readonly id: string; readonly proposals: readonly Proposal[] }
	| { readonly kind: 'applied'; readonly paths: readonly string[] }
	| { readonly kind: 'buttons'; readonly id: string; readonly can: readonly ('stop' | 'cure' | 'undo')[] }
);

/** What a run is shown as, from top to bottom. */
export function blocksOf(run: Run): Block[] {
	const { id, kind, title, state, model, parts, note, turns, proposals, applied } = run;
	const can = [
		...(state === 'running' ? (['stop'] as const) : []),
		...(state === 'refused' && ['off', 'no_model', 'no_client'].includes(run.reason) ? (['cure'] as const) : []),
		...(applied.length > 0 ? (['undo'] as const) : []),
	];
	return [
		{ key: 'title', kind: 'title', run: { kind, title, state, model } },
		...parts.map((part, index): Block => ({ key: `part ${index}`, kind: 'part', part })),
		...(state === 'unfinished' ? [{ key: 'unfinished', kind: 'unfinished', turns } as const] : []),
		...(note ? [{ key: 'note', kind: 'note', text: note } as const] : []),
		...(proposals.length > 0 ? [{ key: 'proposals', kind: 'proposals', id, proposals } as const] : []),
		...(applied.length > 0 ? [{ key: 'applied', kind: 'applied', paths: applied } as const] : []),
		...(can.length > 0 ? [{ key: 'buttons', kind: 'buttons', id, can } as const] : []),
	];
}

/** What is asked of an element, and of the one that holds it. */
interface Child<E> {
	replaceWith(other: E): void;
	remove(): void;
}
interface Parent<E> {
	insertBefore(element: E, before: E | null): unknown;
}

/** The elements of a list of blocks, whose order never changes. */
export class Elements<E extends Child<E>> {
	private shown = new Map<string, { readonly state: string; readonly element: E }>();

	/** `make` is given the element that the block had before, if it had one. */
	constructor(
		private readonly parent: Parent<E>,
		private readonly make: (block: Block, before?: E) => E,
	) {}

	follow(blocks: readonly Block[]): void {
		const shown = new Map<string, { readonly state: string; readonly element: E }>();
		let next: E | null = null;
		for (const block of blocks.toReversed()) {
			const state = JSON.stringify(block);
			const before = this.shown.get(block.key);
			const element: E = before?.state === state ? before.element : this.make(block, before?.element);
			if (before === undefined) {
				this.parent.insertBefore(element, next);
			} else if (element !== before.element) {
				before.element.replaceWith(element);
			}
			shown.set(block.key, { state, element });
			next = element;
		}
		for (const [key, { element }] of this.shown) {
			if (!shown.has(key)) {
				element.remove();
			}
		}
		this.shown = shown;
	}
}
