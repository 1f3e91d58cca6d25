/**
 * Runs inside the extension host of a real workbench, with the real API: what only shows there.
 *
 * `run` rejects if a test fails; what it prints with `console.log` reaches the terminal.
 */

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const vscode = require('vscode');

const ID = 'inkling.inkling';
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function until(what, probe, milliseconds = 60_000) {
	for (const end = Date.now() + milliseconds; Date.now() < end; await pause(100)) {
		const answer = await probe();
		if (answer) {
			return answer;
		}
	}
	throw new Error(`no ${what} within ${milliseconds / 1000} s`);
}

const inkling = () => vscode.extensions.getExtension(ID).activate();

async function session() {
	return (await inkling()).session;
}

/** Start an MCP server as the editor would; `ask` sends a request and returns its result. */
function connect({ command, args, env }) {
	const variables = Object.fromEntries(Object.entries({ ...process.env, ...env }).filter(([, value]) => value !== null));
	const child = spawn(command, args, { env: variables, stdio: ['pipe', 'pipe', 'ignore'] });
	const waiting = new Map();
	const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
	let rest = '';
	child.stdout.setEncoding('utf8').on('data', (text) => {
		const lines = (rest + text).split('\n');
		rest = lines.pop();
		for (const message of lines.filter(Boolean).map((line) => JSON.parse(line))) {
			waiting.get(message.id)?.(message.result);
		}
	});
	const ask = (method, params) => new Promise((resolve, reject) => {
		const id = waiting.size + 1;
		waiting.set(id, resolve);
		child.on('close', () => reject(new Error('the server ended')));
		send({ id, method, params });
	});
	return { ask, tell: (method) => send({ method }), end: () => child.kill() };
}

const tests = {
	async 'every command of the manifest is there'() {
		await session();
		const { commands } = vscode.extensions.getExtension(ID).packageJSON.contributes;
		const known = new Set(await vscode.commands.getCommands(true));
		assert.deepEqual(commands.map(({ command }) => command).filter((command) => !known.has(command)), []);
	},

	async 'the server runs, and is of the version of the extension'() {
		const running = await session();
		await until('server', () => running.state.kind === 'running', 120_000);
		const { version } = vscode.extensions.getExtension(ID).packageJSON;
		assert.equal(running.client.initializeResult.serverInfo.version.split('.', 2).join('.'), version.split('.', 2).join('.'));
	},

	async 'several wishes for a restart are one restart'() {
		const running = await session();
		const states = [];
		const following = running.onChange(({ kind }) => states.push(kind));
		await Promise.all([running.restart(), running.restart(), running.restart()]);
		following.dispose();
		assert.equal(states.filter((kind) => kind === 'stopped').length, 1);
		assert.equal(running.state.kind, 'running');
	},

	async 'a setting that names nothing is a problem with a way out, and taking it back mends it'() {
		const running = await session();
		const configuration = vscode.workspace.getConfiguration('inkling');
		const before = configuration.get('path');
		await configuration.update('path', '/nowhere/inkling', vscode.ConfigurationTarget.Global);
		await until('failure', () => running.state.kind === 'failed');
		assert.match(running.state.problem.problem, /\/nowhere\/inkling/);
		assert.deepEqual(running.state.problem.mends, ['path', 'retry']);
		await configuration.update('path', before, vscode.ConfigurationTarget.Global);
		await until('server', () => running.state.kind === 'running', 120_000);
	},

	async 'findings arrive'() {
		const folder = vscode.workspace.workspaceFolders[0].uri;
		const document = await vscode.workspace.openTextDocument(vscode.Uri.joinPath(folder, 'main.py'));
		await vscode.window.showTextDocument(document);
		const found = await until('findings', () => {
			const all = vscode.languages.getDiagnostics(document.uri);
			return all.length > 0 && all;
		});
		assert.match(found[0].message, /imported but unused/);
	},

	async 'the MCP server that the editor is offered starts, and its tools only read'() {
		const { mcp } = await inkling();
		const [definition, ...others] = mcp();
		assert.equal(others.length, 0);
		assert.equal(definition.env.PYTHONPATH, null); // null takes it out of the editor's own variables
		const hello = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } };
		const server = connect(definition);
		try {
			assert.equal((await server.ask('initialize', hello)).serverInfo.name, 'inkling');
			server.tell('notifications/initialized');
			assert.ok((await server.ask('tools/list')).tools.every(({ annotations }) => annotations.readOnlyHint));
			// Where starting a linter takes longer than it may, the first answer says so.
			await until('findings', async () => {
				const { content } = await server.ask('tools/call', { name: 'diagnostics', arguments: { path: 'main.py' } });
				return /F401/.test(content[0].text);
			});
		} finally {
			server.end();
		}
	},

	async 'without leave the agent asks no model, with leave and without a model it says what to install'() {
		const { agent, session: running } = await inkling();
		const off = await agent.run({ kind: 'ask', text: 'go' });
		assert.deepEqual([off.state, off.reason], ['refused', 'off']);
		const setting = vscode.workspace.getConfiguration('inkling.agent');
		await setting.update('model', 'editor', vscode.ConfigurationTarget.Global);
		const none = await until('refusal of another kind', async () => {
			const run = await agent.run({ kind: 'ask', text: 'go' });
			return run.reason !== 'off' && run;
		});
		assert.deepEqual([none.state, none.reason], ['refused', 'no_model']);
		assert.match(none.note, /install an extension/);
		assert.equal(running.state.kind, 'running'); // taken over without a restart
	},

	async 'code actions: a fix where there is a finding, the others when they are asked for'() {
		const folder = vscode.workspace.workspaceFolders[0].uri;
		const document = await vscode.workspace.openTextDocument(vscode.Uri.joinPath(folder, 'main.py'));
		const titles = async (line) => {
			const range = new vscode.Range(line, 0, line, 9);
			const actions = await vscode.commands.executeCommand('vscode.executeCodeActionProvider', document.uri, range);
			return actions.map(({ title }) => title).filter((title) => title.startsWith('Inkling'));
		};
		await until('findings', () => vscode.languages.getDiagnostics(document.uri).length > 0);
		const others = ['Inkling: explain', 'Inkling: document', 'Inkling: write a test'];
		assert.deepEqual(await titles(0), ['Inkling: fix this', ...others]);
		assert.deepEqual(await titles(2), others);
	},

	async 'a language that is off gets nothing, and the status says why'() {
		const running = await session();
		const completion = vscode.workspace.getConfiguration('inkling.completion');
		await completion.update('languagesOff', ['python'], vscode.ConfigurationTarget.Global);
		await until('refusal', async () => {
			await vscode.commands.executeCommand('inkling.client.trigger');
			await pause(500);
			return (await running.request('inkling/status')).lastRefusal?.reason === 'language_off';
		});
		await completion.update('languagesOff', [], vscode.ConfigurationTarget.Global); // taken over without a restart
		assert.equal(running.state.kind, 'running');
	},

	async 'the button makes a server of its own for the editor, and it runs'() {
		const running = await session();
		const configuration = vscode.workspace.getConfiguration('inkling');
		const before = configuration.get('path');
		await configuration.update('path', undefined, vscode.ConfigurationTarget.Global);
		try {
			await until('failure', () => running.state.kind === 'failed');
			assert.equal(running.state.problem.mends[0], 'install');
			await vscode.commands.executeCommand('inkling.client.install');
			await until('server', () => running.state.kind === 'running', 120_000);
			assert.equal(running.launch.origin, 'private');
		} finally {
			await configuration.update('path', before, vscode.ConfigurationTarget.Global);
		}
		await until('server', () => running.state.kind === 'running' && running.launch.origin === 'path', 120_000);
	},

	async 'a server that dies gets the settings as they are then'() {
		const running = await session();
		const completion = vscode.workspace.getConfiguration('inkling.completion');
		await completion.update('languagesOff', ['python'], vscode.ConfigurationTarget.Global);
		const states = [];
		const following = running.onChange(({ kind }) => states.push(kind));
		process.kill(running.client._serverProcess.pid, 'SIGKILL');
		await until('fresh server', () => states.includes('waiting') && running.state.kind === 'running', 120_000);
		following.dispose();
		await until('refusal', async () => {
			await vscode.commands.executeCommand('inkling.client.trigger');
			await pause(500);
			return (await running.request('inkling/status')).lastRefusal?.reason === 'language_off';
		});
		await completion.update('languagesOff', [], vscode.ConfigurationTarget.Global);
	},

	async 'a setting of the wrong kind is a problem that can be mended'() {
		const running = await session();
		const configuration = vscode.workspace.getConfiguration('inkling');
		const before = configuration.get('path');
		await configuration.update('path', 7, vscode.ConfigurationTarget.Global);
		await until('failure', () => running.state.kind === 'failed');
		await configuration.update('path', before, vscode.ConfigurationTarget.Global);
		await until('server', () => running.state.kind === 'running', 120_000);
	},

	async 'nothing is recorded unless it was chosen'() {
		const { workspaces } = await (await session()).request('inkling/status');
		assert.deepEqual(workspaces.map(({ consent }) => consent), ['off']);
	},
};

exports.run = async () => {
	let failed = 0;
	for (const [name, test] of Object.entries(tests)) {
		try {
			await test();
			console.log(`ok   ${name}`);
		} catch (error) {
			failed += 1;
			console.log(`FAIL ${name}: ${error.message}`);
		}
	}
	if (failed > 0) {
		throw new Error(`${failed} of ${Object.keys(tests).length} tests failed`);
	}
};
