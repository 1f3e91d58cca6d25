/**
 * How a private environment for the server comes about: the steps, and what their failures mean.
 *
 * Pure. The environment is a virtual environment of the extension's own, below its storage, that no project shares.
 */

import { posix, win32 } from 'node:path';
import { t } from '../l10n';
import type { Problem } from './problem';
import { ISOLATED } from './server';

export interface Step {
	readonly title: string;
	readonly command: string;
	readonly args: readonly string[];
}

/** Where the interpreter of the private environment lies. */
export function privatePython(storage: string, windows: boolean): string {
	return windows ? win32.join(storage, 'server', 'Scripts', 'python.exe') : posix.join(storage, 'server', 'bin', 'python');
}

/** The commands that may start a Python here, the newest first; each with arguments that go before all others. */
export function pythonsToTry(windows: boolean): { command: string; first: readonly string[] }[] {
	if (windows) {
		return [
			{ command: 'py', first: ['-3'] },
			{ command: 'python', first: [] },
		];
	}
	const named = [14, 13, 12, 11].map((minor) => `python3.${minor}`);
	return [...named, 'python3', 'python'].map((command) => ({ command, first: [] }));
}

/** What has to be done, in order. `source` is what pip installs: a folder, a wheel, or a name that pip knows. */
export function steps(
	python: { command: string; first: readonly string[] },
	storage: string,
	source: string,
	windows: boolean,
	home = '',
): Step[] {
	const own = privatePython(storage, windows);
	const folder = (windows ? win32 : posix).join(storage, 'server');
	const pip = ['-E', '-P', '-m', 'pip', '--disable-pip-version-check', '--no-input', 'install'];
	return [
		{
			title: t('Making a private environment'),
			command: python.command,
			args: [...python.first, '-E', '-m', 'venv', '--clear', folder],
		},
		{
			title: t('Installing the server (a few minutes)'),
			command: own,
			args: [...pip, '--upgrade', withExtras(source, home)],
		},
		{ title: t('Fetching the default model (about 200 MB)'), command: own, args: [...ISOLATED, 'models', 'pull'] },
	];
}

/**
 * pip needs to hear which runtime: exactly one extra is chosen, and what nights need, unless the source names its own. A
 * path may hold every sign, a requirement with a version or an address is left as it is.
 */
function withExtras(source: string, home: string): string {
	const trimmed = source.trim().replace(/^~(?=[\\/])/, () => home);
	const isPath = /[\\/]/.test(trimmed) && !/:\/\/|\s@\s/.test(trimmed);
	return /\[[\w,\s-]+\]$/.test(trimmed) || (!isPath && /[[=<>~@]/.test(trimmed)) ? trimmed : `${trimmed}[cpu,night]`;
}

const SIGNS: readonly [RegExp, () => string][] = [
	[
		/No space left on device|ENOSPC|not enough (space|room)/i,
		() => t('The disk is full. The server and its model need about 3 GB, on Linux up to 7 GB.'),
	],
	[
		/name resolution|Name or service not known|getaddrinfo|NewConnectionError|ConnectTimeout|Network is unreachable|Max retries exceeded|ProxyError|Connection refused|timed out|could not be downloaded/i,
		() => t('The packages could not be fetched: there is no connection. Try again when you are online.'),
	],
	[
		/ensurepip is not available|No module named '?(ensurepip|venv)/i,
		() => t('This Python cannot make environments: install its venv package (on Debian and Ubuntu, python3-venv).'),
	],
	[
		/Could not find a version that satisfies|No matching distribution|is not a valid editable|does not appear to be a Python project|is not installable|Invalid requirement|does not exist/i,
		() => t('pip finds no Inkling there: check inkling.install.source.'),
	],
	[/Permission denied|EACCES|Access is denied/i, () => t('A folder could not be written: permission was denied.')],
];

/** Why a step failed, from what it printed. */
export function whyStepFailed(step: Step, said: string): Problem {
	const known = SIGNS.find(([sign]) => sign.test(said));
	return {
		problem: known ? known[1]() : t('"{0}" failed; the output says why.', step.title),
		mends: ['install', 'output'],
	};
}
