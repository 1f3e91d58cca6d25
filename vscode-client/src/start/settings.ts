/**
 * The settings that travel to the server: only those that the user chose, under the server's own names.
 *
 * A default of the editor is never sent, because it would win over the user's settings file. Pure. Where the server
 * is (`inkling.path`, `inkling.interpreter`) and what is reviewed (`inkling.applyWithoutReview`) concerns the editor alone
 * and is not sent either.
 */

/** The groups that the server has. */
const GROUPS = new Set(['completion', 'model', 'cache', 'index', 'linters', 'feedback', 'night', 'agent']);

/** The groups that a running server takes over; the others count from its next start. */
const LIVE = new Set(['completion', 'night', 'agent']);

/** Chosen values by their name, such as `completion.maxTokens`. */
export type Chosen = ReadonlyMap<string, unknown>;

/** What the editor says about one setting: its value, and where, if anywhere, it was chosen. */
export interface Inspected {
	readonly value: unknown;
	readonly chosenAt: readonly unknown[];
}

/** Picks the server's settings out of all that the extension declares. */
export function chosen(declared: Iterable<string>, inspect: (name: string) => Inspected): Chosen {
	const found = new Map<string, unknown>();
	for (const name of declared) {
		const { value, chosenAt } = inspect(name);
		if (GROUPS.has(groupOf(name)) && chosenAt.some((entry) => entry !== undefined)) {
			found.set(name, value);
		}
	}
	return found;
}

/** The same as the nested objects of the protocol. */
export function nested(settings: Chosen): Record<string, Record<string, unknown>> {
	const groups: Record<string, Record<string, unknown>> = {};
	for (const [name, value] of settings) {
		const group = groupOf(name);
		(groups[group] ??= {})[name.slice(group.length + 1)] = value;
	}
	return groups;
}

/** What a change needs. A value that was taken back needs a restart: the server cannot be told to forget one. */
export function whatChanged(before: Chosen, after: Chosen): 'nothing' | 'live' | 'restart' {
	const names = [...new Set([...before.keys(), ...after.keys()])];
	const changed = names.filter((name) => JSON.stringify(before.get(name)) !== JSON.stringify(after.get(name)));
	if (changed.length === 0) {
		return 'nothing';
	}
	return changed.every((name) => after.has(name) && LIVE.has(groupOf(name))) ? 'live' : 'restart';
}

function groupOf(name: string): string {
	return name.split('.', 1)[0] ?? name;
}
