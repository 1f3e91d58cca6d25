/** Where the server is found, for every way to say it and for none. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isProblem } from '../src/start/problem';
import { type Launch, type Origin, resolveServer, type Surroundings } from '../src/start/server';

const program = (command: string, origin: Origin): Launch => ({ command, args: [], origin, isPython: false });
const python = (command: string, origin: Origin): Launch => ({
	command,
	args: ['-E', '-P', '-X', 'utf8', '-m', 'inkling'],
	origin,
	isPython: true,
});

function around(programs: readonly string[], settings: Partial<Surroundings> = {}): Surroundings {
	return {
		path: '',
		interpreter: '',
		environment: undefined,
		trusted: true,
		privatePython: '/storage/server/bin/python',
		replaced: undefined,
		searchPath: '/usr/bin:/opt/bin',
		home: '/home/ada',
		workspaceFolders: ['/code/app', '/code/lib'],
		windows: false,
		isProgram: (file) => programs.includes(file),
		realPath: (path) => path,
		...settings,
	};
}

test('inkling.path wins over the interpreter and PATH', () => {
	const found = resolveServer(
		around(['/a/inkling', '/b/python', '/usr/bin/inkling'], { path: '/a/inkling', interpreter: '/b/python' }),
	);
	assert.deepEqual(found, program('/a/inkling', 'path'));
});

test('an interpreter is started blind to PYTHON variables and to the current folder', () => {
	const found = resolveServer(around(['/b/python', '/usr/bin/inkling'], { interpreter: '/b/python' }));
	assert.deepEqual(found, python('/b/python', 'interpreter'));
});

test('without settings the first inkling on PATH is taken', () => {
	const found = resolveServer(around(['/opt/bin/inkling']));
	assert.deepEqual(found, program('/opt/bin/inkling', 'PATH'));
});

test('a relative entry of PATH is passed over, as it would mean a file of the workspace', () => {
	assert.ok(isProblem(resolveServer(around(['inkling', './inkling', 'bin/inkling'], { searchPath: '.:bin::' }))));
});

test('home and workspace folder are filled in', () => {
	const programs = ['/home/ada/venv/bin/inkling', '/code/app/.venv/bin/python'];
	const path = resolveServer(around(programs, { path: '~/venv/bin/inkling' }));
	assert.deepEqual(path, program('/home/ada/venv/bin/inkling', 'path'));
	const interpreter = resolveServer(around(programs, { interpreter: '${workspaceFolder}/.venv/bin/python' }));
	assert.deepEqual(interpreter, python('/code/app/.venv/bin/python', 'interpreter'));
});

test('a bare name is looked up on PATH', () => {
	const found = resolveServer(around(['/usr/bin/python3.12'], { interpreter: 'python3.12' }));
	assert.deepEqual(found, python('/usr/bin/python3.12', 'interpreter'));
});

test('a setting that names no program is an error of its own, even if PATH has one', () => {
	for (const path of ['/gone/inkling', 'bin/inkling', 'nosuchprogram']) {
		const found = resolveServer(around(['/usr/bin/inkling'], { path }));
		assert.ok(isProblem(found));
		assert.equal(found.mends[0], 'path');
		assert.match(found.problem, new RegExp(path));
		assert.ok(!found.mends.includes('install'));
	}
});

test('the active environment comes before PATH, if Inkling was installed into it', () => {
	const environment = '/envs/work/bin/python';
	const everything = [environment, '/envs/work/bin/inkling', '/usr/bin/inkling'];
	assert.deepEqual(resolveServer(around(everything, { environment })), python(environment, 'environment'));
	const without = around([environment, '/usr/bin/inkling'], { environment });
	assert.deepEqual(resolveServer(without), program('/usr/bin/inkling', 'PATH'));
	const relative = around(['python', 'inkling', '/usr/bin/inkling'], { environment: 'python' });
	assert.deepEqual(resolveServer(relative), program('/usr/bin/inkling', 'PATH'));
});

test('the private environment is the last that is looked at', () => {
	const own = '/storage/server/bin/python';
	assert.deepEqual(resolveServer(around([own])), python(own, 'private'));
	assert.deepEqual(resolveServer(around([own, '/usr/bin/inkling'])), program('/usr/bin/inkling', 'PATH'));
});

test('the private environment comes before the program that it was installed in place of, and no other', () => {
	const own = '/storage/server/bin/python';
	const both = [own, '/usr/bin/inkling', '/b/python'];
	assert.deepEqual(resolveServer(around(both, { replaced: '/usr/bin/inkling' })), python(own, 'private'));
	const named = { interpreter: '/b/python' };
	assert.deepEqual(resolveServer(around(both, { ...named, replaced: '/b/python' })), python(own, 'private'));
	assert.deepEqual(resolveServer(around(both, { ...named, replaced: '/usr/bin/inkling' })), python('/b/python', 'interpreter'));
	const gone = around(['/usr/bin/inkling'], { replaced: '/usr/bin/inkling' });
	assert.deepEqual(resolveServer(gone), program('/usr/bin/inkling', 'PATH'));
	const path = around(both, { path: '/usr/bin/inkling', replaced: '/usr/bin/inkling' });
	assert.deepEqual(resolveServer(path), program('/usr/bin/inkling', 'path'));
});

test('where nothing is installed, installing is what is offered first', () => {
	const found = resolveServer(around([]));
	assert.ok(isProblem(found));
	assert.equal(found.mends[0], 'install');
});

test('in a workspace that is not trusted, the message says that its environment was not looked at', () => {
	const found = resolveServer(around([], { trusted: false }));
	assert.ok(isProblem(found));
	assert.match(found.problem, /do not trust/);
	assert.ok(found.mends.includes('trust'));
});

test('in a workspace that is not trusted, nothing that lies in one of its folders is found on PATH', () => {
	const links: Record<string, string> = { '/opt/bin/inkling': '/code/app/inkling', '/home/ada/link': '/code/lib/bin' };
	const programs = ['/code/app/bin/inkling', '/code/lib/inkling', '/home/ada/link/inkling', '/opt/bin/inkling'];
	const searchPath = '/code/app/bin:/code/lib:/home/ada/link:/opt/bin:/code/application:/usr/bin';
	const untrusted = { searchPath, trusted: false, realPath: (path: string) => links[path] ?? path };
	assert.ok(isProblem(resolveServer(around(programs, untrusted))));
	const outside = around([...programs, '/code/application/inkling'], untrusted);
	assert.deepEqual(resolveServer(outside), program('/code/application/inkling', 'PATH'));
	const trusted = around(programs, { ...untrusted, trusted: true });
	assert.deepEqual(resolveServer(trusted), program('/code/app/bin/inkling', 'PATH'));
});

test('a workspace that is not trusted is known behind links, and on Windows in any case', () => {
	const behind = around(['/real/app/bin/inkling'], {
		searchPath: '/real/app/bin',
		trusted: false,
		realPath: (path) => path.replace(/^\/code\//, '/real/'),
	});
	assert.ok(isProblem(resolveServer(behind)));
	const windows = around(['c:\\code\\APP\\inkling.exe'], {
		windows: true,
		searchPath: 'c:\\code\\APP',
		workspaceFolders: ['C:\\Code\\app'],
		trusted: false,
	});
	assert.ok(isProblem(resolveServer(windows)));
	assert.ok(!isProblem(resolveServer({ ...windows, workspaceFolders: ['D:\\Code\\app'] })));
});

test('a setting that leads into a workspace that is not trusted says so', () => {
	for (const setting of ['path', 'interpreter'] as const) {
		const own = around(['/code/app/bin/inkling'], { [setting]: '${workspaceFolder}/bin/inkling', trusted: false });
		const found = resolveServer(own);
		assert.ok(isProblem(found));
		assert.match(found.problem, /do not trust/);
		assert.deepEqual(found.mends, ['trust', setting]);
		assert.ok(!isProblem(resolveServer({ ...own, trusted: true })));
	}
});

test('on Windows the interpreter beside a batch file is started in its place', () => {
	const windows = { windows: true, searchPath: 'C:\\Python\\Scripts', home: 'C:\\Users\\ada' };
	const inVenv = around(['C:\\v\\Scripts\\inkling.cmd', 'C:\\v\\Scripts\\python.exe'], {
		...windows,
		path: 'C:\\v\\Scripts\\inkling',
	});
	assert.deepEqual(resolveServer(inVenv), python('C:\\v\\Scripts\\python.exe', 'path'));
	const global = around(['C:\\Python\\Scripts\\inkling.cmd', 'C:\\Python\\python.exe'], windows);
	assert.deepEqual(resolveServer(global), python('C:\\Python\\python.exe', 'PATH'));
	const alone = resolveServer(around(['C:\\Python\\Scripts\\inkling.cmd'], windows));
	assert.ok(isProblem(alone));
	assert.equal(alone.mends[0], 'interpreter');
});
