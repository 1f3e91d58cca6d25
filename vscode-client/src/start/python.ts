/**
 * Will this Python interpreter do? It is asked for its version and for the version of Inkling that it has.
 *
 * Pure: what runs the question stands in `run.ts`. The question works from Python 3.8 on, so that one that is too old
 * can say so, and it looks at nothing in the current folder.
 */

import { t } from '../l10n';
import type { Problem } from './problem';

export const OLDEST = [3, 11] as const;

/** What the interpreter runs. `-E` alone: `-P` is not known before 3.11, so the current folder is taken out here. */
export const QUESTION = [
	'-E',
	'-c',
	`import sys
sys.path.pop(0)
import json
from importlib import metadata
try:
    found = metadata.version("inkling")
except metadata.PackageNotFoundError:
    found = None
print(json.dumps([list(sys.version_info[:3]), found]))`,
];

export interface Python {
	readonly file: string;
	readonly version: readonly number[];
	/** The version of Inkling; undefined if it has none. */
	readonly inkling: string | undefined;
}

/** The answer of the interpreter `file`; undefined if it gave none that makes sense. */
export function readAnswer(file: string, printed: string): Python | undefined {
	try {
		const [version, inkling] = JSON.parse(printed.trim().split('\n').at(-1) ?? '') as [number[], string | null];
		return version.every(Number.isInteger) ? { file, version, inkling: inkling ?? undefined } : undefined;
	} catch {
		return undefined;
	}
}

export function isNewEnough({ version }: Python): boolean {
	const [major = 0, minor = 0] = version;
	return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/** What keeps Inkling from running on it; `python` is undefined where it gave no answer. */
export function whyNot(file: string, python: Python | undefined): Problem | undefined {
	const wanted = OLDEST.join('.');
	if (python === undefined) {
		return {
			problem: t('{0} is no Python interpreter that works: it did not say its version.', file),
			mends: ['interpreter', 'output', 'retry'],
		};
	}
	if (!isNewEnough(python)) {
		return {
			problem: t('{0} is Python {1}, which is too old: Inkling needs {2} or newer.', file, python.version.join('.'), wanted),
			mends: ['interpreter', 'install', 'retry'],
		};
	}
	if (python.inkling === undefined) {
		return {
			problem: t('{0} (Python {1}) does not have Inkling.', file, python.version.join('.')),
			mends: ['install', 'interpreter', 'retry'],
		};
	}
	return undefined;
}

/** Of all that were looked at, the one to build on, or why there is none. */
export function choosePython(found: readonly Python[]): Python | Problem {
	const good = found.find(isNewEnough);
	if (good !== undefined) {
		return good;
	}
	const wanted = OLDEST.join('.');
	const newest = found[0];
	return newest === undefined
		? {
				problem: t('There is no Python on this machine. Install Python {0} or newer, or name one in inkling.interpreter.', wanted),
				mends: ['interpreter', 'retry'],
			}
		: {
				problem: t(
					'The newest Python found is {0} ({1}), which is too old. Install Python {2} or newer, or name one in inkling.interpreter.',
					newest.version.join('.'),
					newest.file,
					wanted,
				),
				mends: ['interpreter', 'retry'],
			};
}
