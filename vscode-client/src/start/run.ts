/**
 * Runs other programs for the extension: questions with a short answer, and long work whose lines are shown.
 *
 * Not here: the server itself, which the language client runs. Always: no shell, an absolute working folder that is not
 * the workspace, and none of the variables that change what a Python program imports or runs.
 */

import { execFile, spawn } from 'node:child_process';
import { open, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { type Python, QUESTION, readAnswer } from './python';

const ANSWER_MILLISECONDS = 10_000;
const MOST_BYTES = 64 * 1024 * 1024;
/** Variables that change what a Python program imports or runs. */
export const DROPPED = ['PYTHONPATH', 'PYTHONHOME', 'PYTHONSTARTUP', 'PYTHONWARNINGS', 'PYTHONINSPECT'];

/** The program ended with something else than 0, or never ran. `said` is what it wrote, errors last. */
export class ProgramFailed extends Error {
	constructor(
		message: string,
		readonly said: string,
	) {
		super(message);
	}
}

/** Named and undefined rather than left out: the language client lays this over the variables of the editor. */
export function environment(): Record<string, string | undefined> {
	return { ...process.env, ...Object.fromEntries(DROPPED.map((name) => [name, undefined])) };
}

/** What the interpreter says about itself; undefined if it does not answer. */
export async function askPython(file: string, first: readonly string[] = []): Promise<Python | undefined> {
	try {
		return readAnswer(file, await ask(file, [...first, ...QUESTION], ANSWER_MILLISECONDS));
	} catch {
		return undefined; // whatever is wrong with it, it will not do, and the caller says so
	}
}

/** The standard output of a program. Raises ProgramFailed. */
export function ask(command: string, args: readonly string[], milliseconds = 120_000): Promise<string> {
	const options = { cwd: homedir(), env: environment(), timeout: milliseconds, maxBuffer: MOST_BYTES, windowsHide: true };
	return new Promise((resolve, reject) => {
		execFile(command, [...args], options, (error, printed, errors) => {
			if (error === null) {
				resolve(printed);
			} else {
				const last = errors.trim().split('\n').at(-1);
				reject(new ProgramFailed(last || error.message, `${printed}\n${errors}`));
			}
		});
	});
}

/**
 * The standard output of a program, however long, as a file that only the user may read.
 *
 * The file appears whole; where the program fails, what stood there stays. Raises ProgramFailed.
 */
export async function askInto(path: string, command: string, args: readonly string[]): Promise<void> {
	const part = `${path}.${process.pid}.part`;
	const file = await open(part, 'w', 0o600);
	try {
		try {
			await printInto(file.fd, command, args);
		} finally {
			await file.close();
		}
		await rename(part, path);
	} finally {
		await rm(part, { force: true });
	}
}

function printInto(descriptor: number, command: string, args: readonly string[]): Promise<void> {
	return new Promise((resolve, reject) => {
		const child = spawn(command, [...args], {
			cwd: homedir(),
			env: environment(),
			stdio: ['ignore', descriptor, 'pipe'],
			windowsHide: true,
		});
		let errors = '';
		child.stderr?.setEncoding('utf8').on('data', (text: string) => {
			errors = (errors + text).slice(-10_000);
		});
		child.on('error', (error) => reject(new ProgramFailed(error.message, errors)));
		child.on('close', (code) => {
			const last = errors.trim().split('\n').at(-1);
			return code === 0 ? resolve() : reject(new ProgramFailed(last || `${command} ended with ${code}`, errors));
		});
	});
}

/** Long work: every line it prints goes to `line`; aborting ends it. Raises ProgramFailed. */
export function work(
	command: string,
	args: readonly string[],
	line: (text: string) => void,
	signal: AbortSignal,
): Promise<void> {
	return new Promise((resolve, reject) => {
		const said: string[] = [];
		const child = spawn(command, [...args], {
			cwd: homedir(),
			env: environment(),
			stdio: ['ignore', 'pipe', 'pipe'],
			windowsHide: true,
			signal,
		});
		for (const stream of [child.stdout, child.stderr]) {
			let rest = '';
			stream.setEncoding('utf8').on('data', (text: string) => {
				const lines = (rest + text).split(/\r?\n|\r/);
				rest = lines.pop() ?? '';
				for (const one of lines.filter((text) => text.trim())) {
					said.push(one);
					line(one);
				}
			});
		}
		child.on('error', (error) => reject(new ProgramFailed(error.message, said.join('\n'))));
		child.on('close', (code) =>
			code === 0 ? resolve() : reject(new ProgramFailed(`${command} ended with ${code}`, said.join('\n'))),
		);
	});
}
