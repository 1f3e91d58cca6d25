/**
 * Which program is the server: settings and PATH in, a command line or a sentence for the user out.
 *
 * Pure: it knows neither the editor nor the disk, what it has to know of them stands in `Surroundings`. What always
 * holds: the program is named by an absolute path, so that nothing in a workspace can take its place, and a setting
 * that cannot be used is an error of its own, never passed over.
 */

import { posix, win32 } from 'node:path';

/** What the user types to get a server. */
export const INSTALL = 'pip install "inkling[cpu]"';

/** `-E` and `-P` keep PYTHON* variables and the current folder from what the interpreter imports. */
const ISOLATED = ['-E', '-P', '-X', 'utf8', '-m', 'inkling'];

/** A command line that starts the server. */
export interface Launch {
	readonly command: string;
	readonly args: readonly string[];
}

/** There is no server; `setting` is what mends it. */
export interface Missing {
	readonly problem: string;
	readonly setting: 'inkling.path' | 'inkling.interpreter';
	/** True if nothing was set up at all, so that installing is what helps. */
	readonly install: boolean;
}

/** Everything the answer depends on. */
export interface Surroundings {
	readonly path: string;
	readonly interpreter: string;
	readonly searchPath: string;
	readonly home: string;
	readonly workspaceFolder: string | undefined;
	readonly windows: boolean;
	/** True for a file that can be started. */
	readonly isProgram: (file: string) => boolean;
}

/** The server, in this order: `inkling.path`, `inkling.interpreter`, `inkling` on PATH. */
export function resolveServer(around: Surroundings): Launch | Missing {
	if (around.path.trim()) {
		const file = locate(around.path, around);
		return file ? start(file, around) : unusable('inkling.path', around.path);
	}
	if (around.interpreter.trim()) {
		const file = locate(around.interpreter, around);
		return file
			? { command: file, args: [...ISOLATED, 'serve'] }
			: unusable('inkling.interpreter', around.interpreter);
	}
	const file = onPath('inkling', around);
	return file
		? start(file, around)
		: {
				problem: `Inkling's server is not installed: there is no program "inkling" on PATH. Install it (${INSTALL}), or say in the settings where it is.`,
				setting: 'inkling.path',
				install: true,
			};
}

export function isMissing(answer: Launch | Missing): answer is Missing {
	return 'problem' in answer;
}

/** A batch file cannot be started without a shell, so the interpreter beside it is, as the file itself would do. */
function start(file: string, around: Surroundings): Launch | Missing {
	if (!around.windows || !/\.(cmd|bat)$/i.test(file)) {
		return { command: file, args: ['serve'] };
	}
	const folder = win32.dirname(file);
	const beside = [win32.join(folder, 'python.exe'), win32.join(folder, '..', 'python.exe')].find(around.isProgram);
	return beside
		? { command: beside, args: [...ISOLATED, 'serve'] }
		: {
				problem: `No python.exe was found beside ${file}: name the interpreter that has Inkling in inkling.interpreter.`,
				setting: 'inkling.interpreter',
				install: false,
			};
}

function unusable(setting: Missing['setting'], value: string): Missing {
	return {
		problem: `${setting} is "${value}", which is no program here: expected an absolute path, or a name that is on PATH.`,
		setting,
		install: false,
	};
}

/** The file that a setting means: `~` and `${workspaceFolder}` are filled in, a bare name is looked up on PATH. */
function locate(value: string, around: Surroundings): string | undefined {
	const paths = around.windows ? win32 : posix;
	let file = value.trim();
	if (around.workspaceFolder !== undefined) {
		file = file.replaceAll('${workspaceFolder}', around.workspaceFolder);
	}
	if (/^~[\\/]/.test(file)) {
		file = paths.join(around.home, file.slice(2));
	}
	if (!paths.isAbsolute(file)) {
		return /[\\/]/.test(file) ? undefined : onPath(file, around);
	}
	return candidates(file, around).find(around.isProgram);
}

/** The first program of this name on PATH. Relative entries are skipped: they would mean the workspace's files. */
function onPath(name: string, around: Surroundings): string | undefined {
	const paths = around.windows ? win32 : posix;
	return around.searchPath
		.split(paths.delimiter)
		.filter((folder) => paths.isAbsolute(folder))
		.flatMap((folder) => candidates(paths.join(folder, name), around))
		.find(around.isProgram);
}

function candidates(file: string, around: Surroundings): string[] {
	return around.windows && win32.extname(file) === '' ? [`${file}.exe`, `${file}.cmd`] : [file];
}
