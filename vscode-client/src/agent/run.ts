/**
 * One run of the agent as the view shows it, and how it changes with what the server says. Pure, shared by both sides.
 */

export type Kind = 'ask' | 'explain' | 'document' | 'test' | 'fix';

/** A step as the server streams it. */
export interface Step {
	readonly kind: 'text' | 'call' | 'result';
	readonly text: string;
	readonly id: string;
	readonly name: string;
	readonly input: Readonly<Record<string, unknown>> | null;
}

export interface Proposal {
	readonly path: string;
	/** The path behind links. */
	readonly place: string;
	readonly uri: string;
	/** null: the file is new. */
	readonly before: string | null;
	readonly after: string;
	readonly diff: string;
}

/** The server's answer to `inkling/agent`. */
export type Outcome =
	| {
			readonly finished: boolean;
			/** Why the model refused to go on, if it did. */
			readonly message: string;
			readonly text: string;
			readonly model: string;
			readonly turns: number;
			readonly proposals: readonly Proposal[];
	  }
	| { readonly refused: string; readonly message: string };

/** A stretch of what the model said, or one tool call with its answer once it is there. */
export type Part =
	| { readonly kind: 'text'; readonly text: string }
	| { readonly kind: 'call'; readonly id: string; readonly name: string; readonly input: string; readonly answer?: string };

export interface Run {
	readonly id: string;
	readonly kind: Kind;
	/** What was asked, or the place that it was asked about. */
	readonly title: string;
	readonly state: 'running' | 'done' | 'unfinished' | 'stopped' | 'refused' | 'failed';
	readonly parts: readonly Part[];
	/** What the user should know at the end. */
	readonly note: string;
	/** Why the model could not be asked, in the server's word. */
	readonly reason: string;
	readonly model: string;
	/** How often the model was asked. */
	readonly turns: number;
	/** What waits for a review. */
	readonly proposals: readonly Proposal[];
	/** Files that the agent changed, as long as that can be taken back. */
	readonly applied: readonly string[];
}

export function begun(id: string, kind: Kind, title: string): Run {
	return { id, kind, title, state: 'running', parts: [], note: '', reason: '', model: '', turns: 0, proposals: [], applied: [] };
}

/** The run with one more step: pieces of text grow together, an answer joins its call. */
export function stepped(run: Run, step: Step): Run {
	const last = run.parts.at(-1);
	switch (step.kind) {
		case 'text':
			return last?.kind === 'text'
				? { ...run, parts: [...run.parts.slice(0, -1), { kind: 'text', text: last.text + step.text }] }
				: { ...run, parts: [...run.parts, { kind: 'text', text: step.text }] };
		case 'call':
			return { ...run, parts: [...run.parts, { kind: 'call', id: step.id, name: step.name, input: inWords(step.input) }] };
		case 'result':
			return {
				...run,
				parts: run.parts.map((part) =>
					part.kind === 'call' && part.id === step.id && part.answer === undefined ? { ...part, answer: step.text } : part,
				),
			};
	}
}

/** The run with its end. */
export function ended(run: Run, outcome: Outcome): Run {
	if ('refused' in outcome) {
		return { ...run, state: 'refused', note: outcome.message, reason: outcome.refused };
	}
	const { finished, message, text, model, turns, proposals } = outcome;
	const parts = withLast(run.parts, text, finished);
	return { ...run, state: finished ? 'done' : 'unfinished', note: message, parts, model, turns, proposals };
}

/** The parts with what the model said last, once: in place of the pieces that it came in, at the end if there were none. */
function withLast(parts: readonly Part[], text: string, finished: boolean): readonly Part[] {
	if (text.trim() === '') {
		return parts;
	}
	const last: Part = { kind: 'text', text };
	if (parts.at(-1)?.kind === 'text') {
		return [...parts.slice(0, -1), last];
	}
	// The last words of a run that was cut off stand before its last calls, if they were streamed.
	return !finished && parts.some(({ kind }) => kind === 'text') ? parts : [...parts, last];
}

/** The first file of these that steers the editor or other programs, which is never changed unseen: `.vscode/tasks.json`. */
export function steering(proposals: readonly Proposal[]): string | undefined {
	const steers = (path: string) => /(^|\/)\.|\.code-workspace$/i.test(path);
	return proposals.find(({ path, place }) => steers(path) || steers(place))?.path;
}

/** How much a proposal adds and takes away, in lines: `+3 −1`. */
export function size(diff: string): string {
	const lines = diff.split('\n').slice(2); // the first two name the file
	const count = (mark: string) => lines.filter((line) => line.startsWith(mark)).length;
	return `+${count('+')} −${count('-')}`;
}

function inWords(input: Step['input']): string {
	return Object.entries(input ?? {})
		.map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
		.join('\n');
}

/** From the page. */
export type Said =
	| { readonly type: 'ready' }
	| { readonly type: 'ask'; readonly text: string }
	| { readonly type: 'stop' | 'apply' | 'always' | 'deny' | 'undo' | 'cure'; readonly id: string }
	| { readonly type: 'review'; readonly id: string; readonly path: string };

/** To the page: all runs, oldest first, one that changed, or that the user wants to type. */
export type Told =
	| { readonly type: 'runs'; readonly runs: readonly Run[] }
	| { readonly type: 'run'; readonly run: Run }
	| { readonly type: 'focus' };

/** The page's own words, in the user's language. */
export interface Words {
	readonly running: string;
	readonly stopped: string;
	readonly unfinished: string;
	readonly stop: string;
	readonly review: string;
	readonly apply: string;
	readonly always: string;
	readonly alwaysMeans: string;
	readonly deny: string;
	readonly undo: string;
	readonly cure: string;
	readonly isNew: string;
	readonly proposed: string;
	readonly applied: string;
	readonly kinds: Readonly<Record<string, string>>;
}
