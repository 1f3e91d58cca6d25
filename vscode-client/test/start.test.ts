/** What keeps a server from running, told apart; crashes; the steps of an installation. */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Crashes } from '../src/start/crashes';
import { privatePython, steps, whyStepFailed } from '../src/start/plan';
import { isProblem } from '../src/start/problem';
import { choosePython, type Python, QUESTION, readAnswer, whyNot } from '../src/start/python';
import { ask, askInto, askPython, environment, ProgramFailed, work } from '../src/start/run';
import { mismatch } from '../src/start/versions';

const python = (version: number[], inkling?: string): Python => ({ file: '/usr/bin/python3', version, inkling });

test('an interpreter that is too old is named with its version and with what is needed', () => {
	const problem = whyNot('/usr/bin/python3', python([3, 9, 2], '0.1.0'))?.problem ?? '';
	assert.match(problem, /3\.9\.2/);
	assert.match(problem, /3\.11 or newer/);
});

test('an interpreter without Inkling can be mended by installing it', () => {
	assert.equal(whyNot('/usr/bin/python3', python([3, 12, 1]))?.mends[0], 'install');
	assert.equal(whyNot('/usr/bin/python3', python([3, 12, 1], '0.1.0')), undefined);
});

test('no Python and too old a Python are different sentences', () => {
	const none = choosePython([]);
	const old = choosePython([python([3, 8, 0])]);
	assert.ok(isProblem(none) && isProblem(old));
	assert.match(none.problem, /no Python on this machine/);
	assert.match(old.problem, /3\.8\.0.*too old/);
	assert.deepEqual(choosePython([python([3, 8, 0]), python([4, 0, 0])]), python([4, 0, 0]));
});

test('an answer that makes no sense is none', () => {
	assert.deepEqual(readAnswer('p', 'a warning\n[[3, 12, 1], "0.1.0"]\n'), { file: 'p', version: [3, 12, 1], inkling: '0.1.0' });
	assert.equal(readAnswer('p', 'Segmentation fault'), undefined);
	assert.equal(readAnswer('p', ''), undefined);
});

test('a real interpreter answers the question', { skip: process.platform === 'win32' }, async () => {
	const found = await askPython('python3');
	assert.equal(found?.version[0], 3);
	assert.equal(await askPython('/nowhere/python3'), undefined);
	assert.ok(!QUESTION.includes('-P'), 'Python 3.10 would not even start');
});

test('what a program said comes with its failure', async () => {
	const failing = ['-e', 'console.error("no such thing"); process.exit(2)'];
	await assert.rejects(ask(process.execPath, failing), (error) => error instanceof ProgramFailed && /no such thing/.test(error.message));
	const lines: string[] = [];
	const both = ['-e', 'console.log("one\\r\\ntwo"); process.exit(1)'];
	await assert.rejects(work(process.execPath, both, (line) => lines.push(line), new AbortController().signal));
	assert.deepEqual(lines, ['one', 'two']);
});

test('what a program prints can go straight into a file that only its owner reads', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'inkling-'));
	const file = join(folder, 'out.jsonl');
	await askInto(file, process.execPath, ['-e', 'process.stdout.write("é\\n".repeat(3))']);
	assert.equal(readFileSync(file, 'utf8'), 'é\né\né\n');
	assert.equal(process.platform === 'win32' ? 0o600 : statSync(file).mode & 0o777, 0o600);
	const failing = ['-e', 'console.log("half"); console.error("no such thing"); process.exit(2)'];
	await assert.rejects(askInto(file, process.execPath, failing), /no such thing/);
	await assert.rejects(askInto(file, '/nowhere/program', []), ProgramFailed);
	assert.equal(readFileSync(file, 'utf8'), 'é\né\né\n'); // what stood there stays
	assert.deepEqual(readdirSync(folder), ['out.jsonl']);
});

test('variables that change what Python imports do not reach a program', async () => {
	process.env.PYTHONPATH = '/hostile';
	const printed = await ask(process.execPath, ['-p', 'process.env.PYTHONPATH']);
	const laidOver = { ...process.env, ...environment() };
	delete process.env.PYTHONPATH;
	assert.equal(printed.trim(), 'undefined');
	assert.equal(laidOver.PYTHONPATH, undefined);
});

test('of two versions the older one is to be updated', () => {
	assert.equal(mismatch('0.1.0', '0.1.9', 'PATH'), undefined);
	assert.match(mismatch('0.2.0', '0.1.0', 'PATH')?.problem ?? '', /update the server/);
	assert.match(mismatch('0.1.0', '0.2.0', 'PATH')?.problem ?? '', /update the extension/);
	assert.match(mismatch('0.9.0', '0.10.0', 'PATH')?.problem ?? '', /update the extension/);
	assert.match(mismatch('0.1.0', undefined, 'PATH')?.problem ?? '', /does not say its version/);
	assert.equal(mismatch('0.2.0', '0.1.0', 'PATH')?.mends[0], 'reinstall');
	assert.equal(mismatch('0.2.0', '0.1.0', 'path')?.mends[0], 'path'); // it would be started again all the same
});

test('crashes are answered more and more slowly, and a loop is given up', () => {
	const crashes = new Crashes();
	const waits = [0, 1, 2, 3, 4, 5].map((second) => crashes.next(second * 1000));
	assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16000, undefined]);
});

test('a crash a day is no loop', () => {
	const crashes = new Crashes();
	for (let day = 0; day < 30; day += 1) {
		assert.equal(crashes.next(day * 86_400_000), 1000);
	}
});

test('the private environment is made, filled and given a model, in this order', () => {
	const all = steps({ command: 'py', first: ['-3'] }, 'C:\\store', 'C:\\inkling', true);
	assert.deepEqual(all[0]?.args, ['-3', '-E', '-m', 'venv', '--clear', 'C:\\store\\server']);
	assert.equal(all[1]?.command, privatePython('C:\\store', true));
	assert.equal(all[1]?.args.at(-1), 'C:\\inkling[cpu,night]');
	assert.deepEqual(all[2]?.args.slice(-2), ['models', 'pull']);
});

test('a source that chooses its own extra or version is left alone', () => {
	const sourceOf = (source: string) => steps({ command: 'p', first: [] }, '/s', source, false, '/home/me')[1]?.args.at(-1);
	assert.equal(sourceOf('/code/inkling[gpu]'), '/code/inkling[gpu]');
	assert.equal(sourceOf('inkling[cpu]==0.1.0'), 'inkling[cpu]==0.1.0');
	assert.equal(sourceOf('/tmp/inkling.whl'), '/tmp/inkling.whl[cpu,night]');
	assert.equal(sourceOf('/code/a~b@c=1'), '/code/a~b@c=1[cpu,night]');
	assert.equal(sourceOf('~/inkling'), '/home/me/inkling[cpu,night]');
	assert.equal(sourceOf('inkling @ https://example.org/inkling.whl'), 'inkling @ https://example.org/inkling.whl');
	assert.equal(sourceOf('inkling==0.1.0'), 'inkling==0.1.0');
});

test('offline, a full disk, no venv and a wrong source are told apart', () => {
	const step = steps({ command: 'p', first: [] }, '/s', 'x', false)[1]!;
	const why = (said: string) => whyStepFailed(step, said).problem;
	assert.match(why('NewConnectionError: Temporary failure in name resolution\nNo matching distribution found'), /online/);
	assert.match(why('OSError: [Errno 28] No space left on device'), /disk is full/);
	assert.match(why('The virtual environment was not created: ensurepip is not available'), /venv package/);
	assert.match(why('ERROR: No matching distribution found for x'), /inkling\.install\.source/);
	assert.match(why("ERROR: Directory '/x[cpu]' is not installable. Neither 'setup.py' nor"), /inkling\.install\.source/);
	assert.match(why('There is not enough room in /models: 200 MB are needed'), /disk is full/);
	assert.match(why('model.bin could not be downloaded (timed out)'), /online/);
	assert.match(why('something else'), /the output says why/);
});
