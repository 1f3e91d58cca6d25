/**
 * Why there is no server, or not the right one: a sentence for the user, and what would mend it.
 *
 * Pure. A problem is a value that travels to whoever shows it; it is never thrown across modules as an exception.
 */

/** What a button below the sentence does. The first one is the likeliest cure. */
export type Mend = 'install' | 'reinstall' | 'path' | 'interpreter' | 'retry' | 'output' | 'extensions' | 'trust';

export interface Problem {
	readonly problem: string;
	readonly mends: readonly Mend[];
}

export function isProblem(answer: object): answer is Problem {
	return 'problem' in answer;
}
