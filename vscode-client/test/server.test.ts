/** Where the server is found, for every way to say it and for none. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INSTALL, isMissing, resolveServer, type Surroundings } from '../src/server';

const ISOLATED = ['-E', '-P', '-X', 'utf8', '-m', 'inkling', 'serve'];

function around(programs: readonly string[], settings: Partial<Surroundings> = {}): Surroundings {
	return {
		path: '',
		interpreter: '',
		searchPath: '/usr/bin:/opt/bin',
		home: '/home/ada',
		workspaceFolder: '/code/app',
		windows: false,
		isProgram: (file) => programs.includes(file),
		...settings,
	};
}

test('inkling.path wins over the interpreter and PATH', () => {
	const found = resolveServer(
		around(['/a/inkling', '/b/python', '/usr/bin/inkling'], { path: '/a/inkling', interpreter: '/b/python' }),
	);
	assert.deepEqual(found, { command: '/a/inkling', args: ['serve'] });
});

test('an interpreter is started blind to PYTHON variables and to the current folder', () => {
	const found = resolveServer(around(['/b/python', '/usr/bin/inkling'], { interpreter: '/b/python' }));
	assert.deepEqual(found, { command: '/b/python', args: ISOLATED });
});

test('without settings the first inkling on PATH is taken', () => {
	const found = resolveServer(around(['/opt/bin/inkling']));
	assert.deepEqual(found, { command: '/opt/bin/inkling', args: ['serve'] });
});

test('a relative entry of PATH is passed over, as it would mean a file of the workspace', () => {
	assert.ok(isMissing(resolveServer(around(['inkling', './inkling', 'bin/inkling'], { searchPath: '.:bin::' }))));
});

test('home and workspace folder are filled in', () => {
	const programs = ['/home/ada/venv/bin/inkling', '/code/app/.venv/bin/python'];
	const path = resolveServer(around(programs, { path: '~/venv/bin/inkling' }));
	assert.deepEqual(path, { command: '/home/ada/venv/bin/inkling', args: ['serve'] });
	const interpreter = resolveServer(around(programs, { interpreter: '${workspaceFolder}/.venv/bin/python' }));
	assert.deepEqual(interpreter, { command: '/code/app/.venv/bin/python', args: ISOLATED });
});

test('a bare name is looked up on PATH', () => {
	const found = resolveServer(around(['/usr/bin/python3.12'], { interpreter: 'python3.12' }));
	assert.deepEqual(found, { command: '/usr/bin/python3.12', args: ISOLATED });
});

test('a setting that names no program is an error of its own, even if PATH has one', () => {
	for (const path of ['/gone/inkling', 'bin/inkling', 'nosuchprogram']) {
		const found = resolveServer(around(['/usr/bin/inkling'], { path }));
		assert.ok(isMissing(found));
		assert.equal(found.setting, 'inkling.path');
		assert.match(found.problem, new RegExp(path));
		assert.equal(found.install, false);
	}
});

test('where nothing is installed, the message holds the command that installs it', () => {
	const found = resolveServer(around([]));
	assert.ok(isMissing(found));
	assert.ok(found.install);
	assert.ok(found.problem.includes(INSTALL));
});

test('on Windows the interpreter beside a batch file is started in its place', () => {
	const windows = { windows: true, searchPath: 'C:\\Python\\Scripts', home: 'C:\\Users\\ada' };
	const inVenv = around(['C:\\v\\Scripts\\inkling.cmd', 'C:\\v\\Scripts\\python.exe'], {
		...windows,
		path: 'C:\\v\\Scripts\\inkling',
	});
	assert.deepEqual(resolveServer(inVenv), { command: 'C:\\v\\Scripts\\python.exe', args: ISOLATED });
	const global = around(['C:\\Python\\Scripts\\inkling.cmd', 'C:\\Python\\python.exe'], windows);
	assert.deepEqual(resolveServer(global), { command: 'C:\\Python\\python.exe', args: ISOLATED });
	const alone = resolveServer(around(['C:\\Python\\Scripts\\inkling.cmd'], windows));
	assert.ok(isMissing(alone));
	assert.equal(alone.setting, 'inkling.interpreter');
});
