/**
 * The extension end to end: the packaged .vsix in a real workbench, with the real server and the default model.
 *
 * `make e2e` prepares everything. Each step is a sentence; one that fails leaves a screenshot and the run goes on, so
 * that one fault does not hide another. Screenshots of what users see are kept in e2e/shots.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { agentSteps } from './agent.mjs';
import { ghostSteps, pieceStep, SNIPPET_KEY } from './ghost.mjs';
import { handsOn } from './hands.mjs';
import { latencySteps } from './latency.mjs';
import { nightSteps } from './nights.mjs';
import { pause, startWorkbench, until } from './workbench.mjs';

const here = import.meta.dirname;
const inkling = process.env.INKLING;
if (!inkling) {
	console.error('INKLING names the server that is under test: INKLING=/path/to/inkling node e2e/run.mjs');
	process.exit(2);
}
const shots = path.join(here, 'shots');
mkdirSync(shots, { recursive: true });
for (const old of globSync(path.join(shots, 'failed-*.png'))) {
	rmSync(old);
}

const SHAPES = `import math


class Circle:
    """A circle around the origin."""

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def area(self) -> float:
        return math.pi * self.radius**2


def describe(circle: Circle) -> str:
    """Say in words how large a circle is."""
    return f"{circle.area():.1f} square metres"
`;
const MAIN = 'import os\n\nvalues = [1, 2, 3]\n\n';

/** The chat model that the agent's steps talk to, as an extension of its own. */
function packed(folder) {
	const file = path.join(mkdtempSync(path.join(tmpdir(), 'inkling-model-')), 'model.vsix');
	const vsce = path.join(here, '..', 'node_modules', '.bin', 'vsce');
	execFileSync(vsce, ['package', '--no-dependencies', '--allow-missing-repository', '--skip-license', '--out', file], { cwd: folder });
	return file;
}

const vsix = path.join(here, '..', 'inkling.vsix');
const model = packed(path.join(here, 'model'));
const bench = await startWorkbench({
	vsix: [vsix, model],
	files: {
		'main.py': MAIN,
		'shapes.py': SHAPES,
		'loose.py': 'values = [1, 2]\nprint(len(valeus))\n',
		'values.py': 'values = [1, 2, 3]\n',
		'pieces.py': 'values = [1, 2, 3]\n',
	},
	settings: {
		'inkling.path': inkling,
		'inkling.completion.mode': 'eager',
		'inkling.completion.maxTokens': 16,
		'inkling.completion.wholeLines': true, // pieces of lines would break the syntax of what is typed below them
		'inkling.linters.pyright': false,
		'inkling.feedback.trace': true,
	},
	keys: [SNIPPET_KEY],
});
rmSync(path.dirname(model), { recursive: true }); // it is installed
const { page } = bench;
page.setDefaultTimeout(60_000);
const hands = handsOn(bench);
const results = [];
const shot = (name) => page.screenshot({ path: path.join(shots, `${name}.png`) });

async function step(sentence, work) {
	const began = Date.now();
	try {
		const note = await work();
		results.push(true);
		console.log(`ok   ${sentence} (${Date.now() - began} ms)${note ? `: ${note}` : ''}`);
	} catch (error) {
		results.push(false);
		console.log(`FAIL ${sentence}: ${error.message.split('\n')[0]}`);
		await shot(`failed-${results.length}`).catch(() => {}); // a page that hangs has no picture
	}
}

/** What the server recorded, oldest first. */
function recorded() {
	const printed = execFileSync(inkling, ['feedback', 'list', '--json', '--limit', '100'], { env: bench.env });
	return JSON.parse(printed.toString()).reverse();
}

/** The suggestion that this text is the rest of, as one may have typed along with it, once it has such an outcome. */
const settled = (text, kind) =>
	until(`outcome ${kind} of ${JSON.stringify(text)}`, async () => {
		await pause(500);
		const found = recorded().filter((entry) => entry.text.endsWith(text) && entry.outcome?.kind === kind);
		return found.at(-1);
	}, 120_000);

/** What the servers saw of the documents, by server. */
const traces = () => globSync(path.join(bench.env.INKLING_HOME, '**', 'traces', '*.jsonl')).map((file) => readFileSync(file, 'utf8'));

/** The longest of them, for `tests/unit/feedback`, where it is judged again. */
function keepTrace() {
	const found = traces();
	const [longest] = found.sort((one, other) => other.length - one.length);
	console.log(`${found.length} traces, of ${found.map((trace) => trace.length).join(', ')} characters`);
	if (longest !== undefined) {
		writeFileSync(path.join(shots, 'trace.jsonl'), longest.replaceAll(bench.workspace, '/workspace'));
	}
}

const tip = async () => (await hands.bar().getAttribute('aria-label')) ?? '';

try {
	await step('the extension is smaller than 2 MB', () => {
		const { size } = statSync(vsix);
		assert.ok(size < 2e6, `${size} bytes`);
		return `${Math.round(size / 1000)} kB`;
	});

	await step('the server starts and the model gets ready', async () => {
		await until('model', async () => /is ready/.test(await tip()), 180_000);
		return tip();
	});

	await step('the activation is measured', async () => {
		await hands.command('Developer: Show Running Extensions');
		let told = '';
		try {
			const list = page.locator('.runtime-extensions-editor .monaco-list').first();
			await list.waitFor();
			await list.hover();
			const row = list.locator('.monaco-list-row', { hasText: 'Inkling' }).first();
			await until('row', async () => {
				if ((await row.count()) > 0) {
					return true;
				}
				await page.mouse.wheel(0, 200); // the slowest stand first, and only what is in view is there
				return false;
			});
			told = await row.innerText();
		} finally {
			await page.keyboard.press('Escape'); // it lies over everything
		}
		const milliseconds = Number(/Activation: (\d+)\s*ms/.exec(told)?.[1]);
		assert.ok(Number.isFinite(milliseconds), told);
		const verdict = milliseconds < 150 ? 'held' : 'not held';
		return `${milliseconds} ms; 150 ms are ${verdict}, under a load of ${loadavg()[0].toFixed(1)}`;
	});

	await step("with the editor's telemetry off nothing can be recorded, until that is allowed", async () => {
		await hands.command('Inkling: Choose What Is Recorded');
		const inside = await hands.inPage('input[value=local]');
		assert.equal(await inside.locator('input[value=off]').isChecked(), true);
		assert.equal(await inside.locator('input[value=local]').isDisabled(), true);
		await inside.locator('button[data-do=allow]').click();
		await hands.inPage('input[value=local]:enabled');
	});

	await step('"on this machine" is chosen by keyboard', async () => {
		const inside = await hands.inPage('input[value=local]:enabled');
		assert.equal(await inside.locator('input[value=team]').isDisabled(), true);
		await shot('consent');
		await inside.locator('input[value=off]').focus();
		await page.keyboard.press('ArrowDown');
		await until('answer', async () => /on this machine/.test(await inside.locator('#said').innerText()));
		const chosen = JSON.parse(execFileSync(inkling, ['consent', '--json'], { env: bench.env }).toString());
		assert.deepEqual(Object.values(chosen), ['local']);
	});

	await step('the page that was hidden still says what was chosen', async () => {
		await hands.open('main.py');
		await until('hidden page', async () => (await Promise.all(page.frames().map((one) => one.locator('input[value=local]').count().catch(() => 0)))).every((count) => count === 0));
		await hands.command('Inkling: Choose What Is Recorded');
		const inside = await hands.inPage('input[value=local]:checked');
		assert.equal(await inside.locator('input[value=off]').isChecked(), false);
	});

	await step('a finding stands in the problems panel', async () => {
		await hands.command('Problems: Focus on Problems View');
		await page.locator('.markers-panel .monaco-list-row', { hasText: '`os` imported but unused' }).first().waitFor();
		await shot('problems');
	});

	await step('the agent mends it, and undo takes that back', async () => {
		await hands.open('main.py');
		await page.locator('.editor-instance .monaco-editor .view-lines').first().click();
		await page.keyboard.press('Control+Home');
		await hands.command('Inkling: Fix This Finding');
		await until('mended file', async () => {
			await page.keyboard.press('Control+s');
			return !bench.read('main.py').includes('import os');
		});
		await shot('fixed');
		await page.locator('.editor-instance .monaco-editor .view-lines').first().click();
		await page.keyboard.press('Control+z');
		await hands.saved('main.py', 'import os');
		await page.keyboard.press('Control+j'); // the panel has done its part
	});

	let taken = '';
	await step('ghost text appears and Tab takes it', async () => {
		await until('model', async () => /is ready/.test(await tip()), 180_000); // a setting was changed: a fresh server
		await hands.open('main.py');
		await hands.goToEnd();
		taken = await hands.offered('for i in ran');
		await shot('ghost');
		await page.keyboard.press('Tab');
		await hands.saved('main.py', `for i in ran${taken}`);
		return JSON.stringify(taken);
	});

	let words = '';
	await step('Ctrl+Right takes a word, Escape sends the rest away', async () => {
		await hands.goToEnd();
		await page.keyboard.press('Enter');
		await page.keyboard.press('Home');
		words = await hands.offered('def total_area(circles: list[Circle]) -> flo');
		const before = bench.read('main.py').length;
		await page.keyboard.press('Control+ArrowRight');
		await until('less ghost text', async () => (await hands.ghost()).length < words.length);
		const left = await hands.ghost();
		await shot('word');
		await page.keyboard.press('Escape');
		await until('end of the ghost text', async () => (await hands.ghost()) === '');
		await page.keyboard.press('Control+s');
		await until('saved file', () => bench.read('main.py').length > before);
		return `${JSON.stringify(words)}, left ${JSON.stringify(left)}`;
	});

	let refused = '';
	await step('Escape sends a suggestion away, and it does not come back', async () => {
		await hands.goToEnd();
		await page.keyboard.press('Enter');
		await page.keyboard.press('Home');
		refused = await hands.offered('while val');
		await page.keyboard.press('Escape');
		await until('end of the ghost text', async () => (await hands.ghost()) === '');
		await hands.type(refused[0]);
		await pause(2500);
		assert.notEqual(refused[0] + (await hands.ghost()), refused);
		return JSON.stringify(refused);
	});

	await step('the record says accepted', async () => {
		assert.notEqual(taken, '');
		const { outcome } = await settled(taken, 'accepted');
		return `by the rule ${outcome.rule}`;
	});

	await step('the record says partial', async () => {
		assert.notEqual(words, '');
		const { outcome, text } = await settled(words, 'partial');
		assert.ok(outcome.length > 0 && outcome.length < text.length);
		return `${outcome.length} characters, by the rule ${outcome.rule}`;
	});

	await step('the record says rejected', async () => {
		assert.notEqual(refused, '');
		const { outcome } = await settled(refused, 'rejected');
		return `by the rule ${outcome.rule}`;
	});

	await ghostSteps({ bench, hands, step, shot, settled });

	await step('search by meaning: typed, walked through and opened by keyboard', async () => {
		await hands.command('Inkling: Search by Meaning');
		const inside = await hands.inPage('#query');
		await until('cursor in the box', () => inside.locator('#query').evaluate((box) => box === box.ownerDocument.activeElement));
		await hands.type('how big is the surface of something round');
		await page.keyboard.press('Enter');
		await until('results', async () => (await inside.locator('#rows li').count()) > 0);
		await page.keyboard.press('ArrowDown');
		await until('preview', async () => (await page.locator('.tab.active', { hasText: 'shapes.py' }).count()) > 0);
		await pause(500);
		await shot('search');
		const first = await inside.locator('#rows li').first().innerText();
		await page.keyboard.press('Enter');
		await until('cursor in the editor', () => page.locator('.editor-instance .monaco-editor.focused').count());
		await page.keyboard.press('Control+b');
		return JSON.stringify(first.split('\n')[0]);
	});

	await step('a click on the status bar item says what is going on', async () => {
		await hands.bar().click();
		const rows = page.locator('.quick-input-list .monaco-list-row');
		await rows.first().waitFor();
		const text = (await rows.allInnerTexts()).join(' ').replaceAll(/\s+/g, ' ');
		await shot('status');
		await page.keyboard.press('Escape');
		assert.match(text, /Model.*is ready/);
		assert.match(text, /Index/);
		assert.match(text, /on this machine/);
	});

	await step('what was recorded can be seen', async () => {
		await hands.command('Inkling: See What Was Recorded');
		await page.locator('.quick-input-list .monaco-list-row', { hasText: 'Everything' }).first().click();
		await until('document', async () => (await page.locator('.tab.active', { hasText: 'recorded' }).count()) > 0);
		await until('text', async () => /Everything that was recorded/.test((await page.locator('.editor-instance .view-lines').first().innerText()).replaceAll('\u00a0', ' ')));
		await shot('recorded');
	});

	await step('insights are drawn', async () => {
		await hands.command('Inkling: Show Insights');
		await page.locator('.quick-input-list .monaco-list-row', { hasText: '30 days' }).first().click();
		const inside = await hands.inPage('svg');
		await shot('insights');
		return `${await inside.locator('svg').count()} plots`;
	});

	await latencySteps({ bench, hands, step, traces });
	await agentSteps({ bench, hands, step, shot });
	await nightSteps({ bench, hands, step, shot, inkling });

	await step('what was recorded can be exported', async () => {
		const file = path.join(bench.workspace, 'export.jsonl');
		await hands.command('Inkling: Export What Was Recorded');
		await page.locator('.quick-input-list .monaco-list-row', { hasText: 'Everything' }).first().click();
		const box = page.locator('.quick-input-widget input.input');
		await until('place to save', async () => /inkling-feedback/.test(await box.inputValue()));
		await box.fill(file);
		await page.locator('.quick-input-widget .monaco-button', { hasText: 'OK' }).first().click();
		await until('exported file', () => existsSync(file)); // whole as soon as it is there
		const lines = readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
		rmSync(file);
		assert.ok(lines.length >= recorded().length);
		return `${lines.length} lines`;
	});

	await step('what was recorded can be erased', async () => {
		assert.ok(recorded().length > 0);
		await hands.command('Inkling: Erase What Was Recorded');
		await page.locator('.quick-input-list .monaco-list-row', { hasText: 'Everything' }).first().click();
		await page.locator('.monaco-dialog-box .monaco-button', { hasText: 'Erase' }).first().click();
		await until('empty record', () => recorded().length === 0);
	});

	await pieceStep({ bench, hands, step, shot });

	await step('a snooze for today keeps ghost text away', async () => {
		await hands.open('main.py');
		await hands.goToEnd();
		await page.keyboard.press('Enter');
		await page.keyboard.press('Home');
		await hands.command('Inkling: Snooze ...');
		await page.locator('.quick-input-list .monaco-list-row', { hasText: 'For today' }).first().click();
		await until('snooze', async () => /snoozed until/.test(await tip()));
		await hands.type('for q in ran');
		await pause(2500);
		assert.equal(await hands.ghost(), '');
	});

	await step('a server that dies is started again', async () => {
		const status = () => JSON.parse(execFileSync(inkling, ['status', '--json'], { env: bench.env }).toString());
		const { pid } = status().servers[0];
		process.kill(pid, 'SIGKILL');
		await until('wait', async () => /new start in/.test(await tip()));
		await until('fresh server', () => status().servers.some((one) => one.pid !== pid), 120_000);
		await until('its answer', async () => /snoozed until|is ready/.test(await tip()));
	});

	await step('the page asked nobody but this machine', () => {
		assert.ok(bench.strangers.size === 0, [...bench.strangers].join(' '));
	});
} finally {
	keepTrace();
	await bench.stop();
}
const failed = results.filter((good) => !good).length;
console.log(`${results.length - failed} of ${results.length} steps hold; screenshots are in ${shots}`);
process.exit(failed ? 1 : 0);
