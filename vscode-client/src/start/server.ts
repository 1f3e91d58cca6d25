/**
 * Which program is the server: settings, environment and PATH in, a command line or a sentence for the user out.
 *
 * Pure: it knows neither the editor nor the disk, what it has to know of them stands in `Surroundings`. What always
 * holds: the program is named by an absolute path, so that nothing in a workspace can take its place; nothing that lies
 * in a workspace is started before the user trusts it; and a setting that cannot be used is an error of its own, never
 * passed over.
 */

import { posix, win32 } from 'node:path';
import { t } from '../l10n';
import { isProblem, type Problem } from './problem';

/** `-E` and `-P` keep PYTHON* variables and the current folder from what the interpreter imports. */
export const ISOLATED = ['-E', '-P', '-X', 'utf8', '-m', 'inkling'];

/** Who named the program. `private` is the environment that the extension itself made. */
export type Origin = 'path' | 'interpreter' | 'environment' | 'PATH' | 'private';

/** A command line that is `inkling`; a subcommand, such as `serve`, is put behind it. */
export interface Launch {
	readonly command: string;
	readonly args: readonly string[];
	readonly origin: Origin;
	/** The command is a Python interpreter, which can be asked whether it will do. */
	readonly isPython: boolean;
}

/** Everything the answer depends on. */
export interface Surroundings {
	readonly path: string;
	readonly interpreter: string;
	/** The interpreter that is active for the workspace; undefined if there is none, or it may not be run. */
	readonly environment: string | undefined;
	/** The user trusts the workspace; until then its environment is not looked at, and no program in it is started. */
	readonly trusted: boolean;
	/** The interpreter of the environment that the extension makes, whether it is there or not. */
	readonly privatePython: string;
	/** The program that the user had the private environment installed in place of, if there was one. */
	readonly replaced: string | undefined;
	readonly searchPath: string;
	readonly home: string;
	readonly workspaceFolders: readonly string[];
	readonly windows: boolean;
	/** True for a file that can be started. */
	readonly isProgram: (file: string) => boolean;
	/** Where a file or folder stands behind links; the path itself where that is not known. */
	readonly realPath: (path: string) => string;
}

/**
 * In this order: `inkling.path`, `inkling.interpreter`, the active environment, PATH, the private environment; but the
 * private one before the very program that it was installed in place of.
 */
export function resolveServer(around: Surroundings): Launch | Problem {
	const found = usual(around);
	const isReplaced = !isProblem(found) && found.origin !== 'path' && found.command === around.replaced;
	return isReplaced && around.isProgram(around.privatePython) ? interpreter(around.privatePython, 'private') : found;
}

function usual(around: Surroundings): Launch | Problem {
	if (around.path.trim()) {
		const file = locate(around.path, around);
		return file ? (untrusted('path', file, around) ?? program(file, 'path', around)) : unusable('path', around.path);
	}
	if (around.interpreter.trim()) {
		const file = locate(around.interpreter, around);
		return file
			? (untrusted('interpreter', file, around) ?? interpreter(file, 'interpreter'))
			: unusable('interpreter', around.interpreter);
	}
	if (around.environment !== undefined && hasInkling(around.environment, around)) {
		return interpreter(around.environment, 'environment');
	}
	const file = onPath('inkling', around);
	if (file) {
		return program(file, 'PATH', around);
	}
	if (around.isProgram(around.privatePython)) {
		return interpreter(around.privatePython, 'private');
	}
	const none = t('Inkling has no server yet. It runs on your own machine and can be installed for this editor alone.');
	return around.trusted
		? { problem: none, mends: ['install', 'path', 'retry'] }
		: {
				problem: `${none} ${t('The Python environment of this workspace is not looked at, because you do not trust the workspace.')}`,
				mends: ['install', 'trust', 'path'],
			};
}

function interpreter(command: string, origin: Origin): Launch {
	return { command, args: ISOLATED, origin, isPython: true };
}

/** A batch file cannot be started without a shell, so the interpreter beside it is, as the file itself would do. */
function program(file: string, origin: Origin, around: Surroundings): Launch | Problem {
	if (!around.windows || !/\.(cmd|bat)$/i.test(file)) {
		return { command: file, args: [], origin, isPython: false };
	}
	const folder = win32.dirname(file);
	const beside = [win32.join(folder, 'python.exe'), win32.join(folder, '..', 'python.exe')].find(around.isProgram);
	return beside
		? interpreter(beside, origin)
		: {
				problem: t('No python.exe was found beside {0}: name the interpreter that has Inkling.', file),
				mends: ['interpreter', 'retry'],
			};
}

function unusable(setting: 'path' | 'interpreter', value: string): Problem {
	return {
		problem: t(
			'inkling.{0} is "{1}", which is no program here: expected an absolute path, or a name that is on PATH.',
			setting,
			value,
		),
		mends: [setting, 'retry'],
	};
}

function untrusted(setting: 'path' | 'interpreter', file: string, around: Surroundings): Problem | undefined {
	return mayStart(file, around)
		? undefined
		: {
				problem: t('inkling.{0} names {1}, which lies in this workspace, and you do not trust the workspace.', setting, file),
				mends: ['trust', setting],
			};
}

/** True if the program `inkling` was installed into the environment of this interpreter. */
function hasInkling(python: string, around: Surroundings): boolean {
	const paths = around.windows ? win32 : posix;
	if (!paths.isAbsolute(python) || !around.isProgram(python)) {
		return false;
	}
	const folder = paths.dirname(python);
	const folders = around.windows ? [folder, paths.join(folder, 'Scripts')] : [folder];
	return folders.flatMap((place) => candidates(paths.join(place, 'inkling'), around)).some(around.isProgram);
}

/** The file that a setting means: `~` and `${workspaceFolder}` are filled in, a bare name is looked up on PATH. */
function locate(value: string, around: Surroundings): string | undefined {
	const paths = around.windows ? win32 : posix;
	let file = value.trim();
	const [first] = around.workspaceFolders;
	if (first !== undefined) {
		file = file.replaceAll('${workspaceFolder}', () => first);
	}
	if (/^~[\\/]/.test(file)) {
		file = paths.join(around.home, file.slice(2));
	}
	if (!paths.isAbsolute(file)) {
		return /[\\/]/.test(file) ? undefined : onPath(file, around);
	}
	return candidates(file, around).find(around.isProgram);
}

/**
 * The first program of this name on PATH. Relative entries are skipped: they would mean the workspace's files. So is
 * what lies in a workspace that is not trusted.
 */
function onPath(name: string, around: Surroundings): string | undefined {
	const paths = around.windows ? win32 : posix;
	return around.searchPath
		.split(paths.delimiter)
		.filter((folder) => paths.isAbsolute(folder) && mayStart(folder, around))
		.flatMap((folder) => candidates(paths.join(folder, name), around))
		.find((file) => around.isProgram(file) && mayStart(file, around));
}

/** False for what lies in a workspace that is not trusted, by its own path or by the one behind links. */
function mayStart(path: string, around: Surroundings): boolean {
	const paths = around.windows ? win32 : posix;
	const both = (one: string): string[] => [one, around.realPath(one)];
	const lies = (file: string, folder: string): boolean => {
		const way = paths.relative(folder, file);
		return way.split(paths.sep)[0] !== '..' && !paths.isAbsolute(way);
	};
	const folders = around.trusted ? [] : around.workspaceFolders.flatMap(both);
	return !both(path).some((file) => folders.some((folder) => lies(file, folder)));
}

function candidates(file: string, around: Surroundings): string[] {
	return around.windows && win32.extname(file) === '' ? [`${file}.exe`, `${file}.cmd`] : [file];
}
