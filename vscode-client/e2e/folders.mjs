/** Two folders in one window, which the user does not trust at first: the packaged .vsix in a workbench of its own. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { handsOn } from './hands.mjs';
import { pause, startWorkbench, until } from './workbench.mjs';

const here = import.meta.dirname;
const inkling = process.env.INKLING;
if (!inkling) {
	console.error('INKLING names the server that is under test: INKLING=/path/to/inkling node e2e/folders.mjs');
	process.exit(2);
}
const shots = path.join(here, 'shots');
mkdirSync(shots, { recursive: true });
const bench = await startWorkbench({
	vsix: [path.join(here, '..', 'inkling.vsix')],
	files: { 'one/main.py': 'values = [1, 2, 3]\n', 'two/other.py': 'def area(radius):\n    return radius**2\n' },
	folders: ['one', 'two'],
	trusted: false,
	settings: {
		'inkling.path': inkling,
		'inkling.completion.mode': 'eager',
		'inkling.linters.pyright': false,
		'inkling.feedback.withoutTelemetry': 'local',
	},
});
const { page } = bench;
page.setDefaultTimeout(60_000);
const hands = handsOn(bench);
let failed = 0;

async function step(sentence, work) {
	try {
		await work();
		console.log(`ok   ${sentence}`);
	} catch (error) {
		failed += 1;
		console.log(`FAIL ${sentence}: ${error.message.split('\n')[0]}`);
		await page.screenshot({ path: path.join(shots, `failed-folders-${failed}.png`) }).catch(() => {});
	}
}

/** What a click on the status bar item says. */
async function menu() {
	await hands.bar().click();
	const rows = page.locator('.quick-input-list .monaco-list-row');
	await rows.first().waitFor();
	const text = (await rows.allInnerTexts()).join(' ').replaceAll(/\s+/g, ' ');
	await page.screenshot({ path: path.join(shots, 'folders.png') });
	await page.keyboard.press('Escape');
	return text;
}

const tip = async () => (await hands.bar().getAttribute('aria-label')) ?? '';

try {
	await step('without trust the server runs, and the menu says what stays off', async () => {
		await until('model', async () => /is ready/.test(await tip()), 180_000);
		assert.match(await menu(), /Not trusted/);
	});

	await step('ghost text needs no trust', async () => {
		await hands.open('main.py');
		await hands.goToEnd();
		await hands.offered('for i in ran');
		await page.keyboard.press('Escape');
	});

	await step('while an entry of the suggestion list is selected there is no ghost text', async () => {
		bench.change('editor.wordBasedSuggestions', 'currentDocument');
		await hands.goToEnd();
		await page.keyboard.press('Enter');
		await page.keyboard.press('Home');
		await hands.type('for one in val');
		await page.keyboard.press('Control+Space');
		await page.locator('.suggest-widget.visible .monaco-list-row.focused', { hasText: 'values' }).waitFor();
		await pause(2500);
		assert.equal(await hands.ghost(), '');
		await page.screenshot({ path: path.join(shots, 'list.png') });
		await page.keyboard.press('Enter');
		await hands.saved('one/main.py', 'for one in values');
	});

	await step('each folder is asked for by itself', async () => {
		await hands.command('Inkling: Choose What Is Recorded');
		const inside = await hands.inPage('fieldset');
		assert.equal(await inside.locator('fieldset').count(), 2);
		await inside.locator('fieldset').nth(1).locator('input[value=local]').click();
		await until('answer', async () => /on this machine/.test(await inside.locator('#said').innerText()));
		const chosen = JSON.parse(execFileSync(inkling, ['consent', '--json'], { env: bench.env }).toString());
		const two = Object.entries(chosen).filter(([root]) => root.endsWith('two'));
		assert.deepEqual(two.map(([, consent]) => consent), ['local']);
		assert.ok(Object.entries(chosen).every(([root, consent]) => root.endsWith('two') || consent === 'off'));
	});

	await step('the search finds what lies in either', async () => {
		await hands.command('Inkling: Search by Meaning');
		const inside = await hands.inPage('#query');
		await inside.locator('#query').fill('area of a circle');
		await page.keyboard.press('Enter');
		await until('hit', async () => /other\.py/.test(await inside.locator('#rows').innerText()));
	});

	await step('with trust the server starts anew and nothing stays off', async () => {
		await hands.command('Workspaces: Manage Workspace Trust');
		await page.locator('.workspace-trust-editor .workspace-trust-buttons-row .monaco-button', { hasText: 'Trust' }).first().click();
		await until('trusting server', () => {
			const told = JSON.parse(execFileSync(inkling, ['status', '--json'], { env: bench.env }).toString());
			return told.servers.length === 1 && told.servers[0].trusted;
		});
		await until('model', async () => /is ready/.test(await tip()), 180_000);
	});
} finally {
	await bench.stop();
}
console.log(failed ? `${failed} steps failed; screenshots are in ${shots}` : 'all steps with two folders hold');
process.exit(failed ? 1 : 0);
