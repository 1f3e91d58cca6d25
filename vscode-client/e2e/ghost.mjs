/** Ghost text where other things want the same keys: steps for `run.mjs`. */

import assert from 'node:assert/strict';
import { pause, until } from './workbench.mjs';

/** Keys that put a snippet in, as a user may have them. */
export const SNIPPET_KEY = {
	key: 'ctrl+alt+s',
	command: 'editor.action.insertSnippet',
	args: { snippet: 'total = len(${1:things})\nprint($0)' },
	when: 'editorTextFocus',
};

export async function ghostSteps({ bench, hands, step, shot, settled }) {
	const { page } = bench;
	const freshLine = async () => {
		await hands.open('main.py');
		await hands.goToEnd();
		await page.keyboard.press('Enter');
		await page.keyboard.press('Home');
	};
	const inserted = (before) => {
		const text = bench.read('main.py');
		return text.slice(before.trimEnd().length);
	};

	await step('Ctrl+Alt+Right takes a line', async () => {
		await freshLine();
		await page.keyboard.press('Control+s');
		await pause(300);
		const before = bench.read('main.py');
		const ghost = await hands.offered('for key in ran');
		await page.keyboard.press('Control+Alt+ArrowRight');
		const first = ghost.split('\n')[0];
		await hands.saved('main.py', `for key in ran${first}`);
		return JSON.stringify(inserted(before));
	});

	await step('the next key brings another suggestion, the previous one the first, and Tab takes what stands there', async () => {
		await freshLine();
		const first = await hands.offered('for row in ran');
		const turn = async (key, isThere) => {
			await page.keyboard.press(key);
			await until(`ghost text after ${key}`, async () => isThere(await hands.ghost()));
		};
		await turn('Alt+]', (text) => text !== '' && text !== first);
		const other = await hands.someGhost();
		await shot('another');
		await turn('Alt+[', (text) => text === first);
		await turn('Alt+]', (text) => text === other);
		await page.keyboard.press('Tab');
		await hands.saved('main.py', `for row in ran${other}`);
		await settled(other, 'accepted');
		await settled(first, 'superseded');
		return `${JSON.stringify(first)}, then ${JSON.stringify(other)}`;
	});

	await step('what was sent away comes again when it is asked for by hand', async () => {
		await freshLine();
		const ghost = await hands.offered('for sent in ran');
		await page.keyboard.press('Escape');
		await until('end of the ghost text', async () => (await hands.ghost()) === '');
		await hands.command('Inkling: Suggest Now');
		await until('the same ghost text, whole', async () => (await hands.ghost()).startsWith(ghost));
		const whole = await hands.ghost();
		await page.keyboard.press('Tab');
		await hands.saved('main.py', `for sent in ran${whole}`);
	});

	await step('inside a snippet the editor shows no ghost text, and Tab goes to its next place', async () => {
		await hands.open('values.py');
		await hands.goToEnd();
		await page.keyboard.press('Control+Alt+s');
		await hands.type('val'); // outside of a snippet it is there for this
		await pause(2500);
		assert.equal(await hands.ghost(), '');
		await shot('snippet');
		await page.keyboard.press('Tab');
		await hands.type('rows');
		const saved = await hands.saved('values.py', 'print(rows)');
		assert.ok(saved.includes('total = len(val)'));
		await page.keyboard.press('Escape');
	});

	await step("with a screen reader Ctrl+Right stays the editor's own", async () => {
		bench.change('editor.accessibilitySupport', 'on');
		try {
			await freshLine();
			const ghost = await hands.offered('for one in ran');
			await page.keyboard.press('Control+ArrowRight');
			await pause(700);
			const saved = await hands.saved('main.py', 'for one in ran');
			assert.ok(!saved.includes(`for one in ran${ghost[0]}`), 'a piece of it was taken');
		} finally {
			bench.change('editor.accessibilitySupport', 'off');
		}
	});
}

/** Ghost text that ends early; whole lines stay switched off. */
export async function pieceStep({ bench, hands, step, shot }) {
	const { page } = bench;
	await step('without whole lines ghost text ends where the model is unsure, and goes on once it is taken', async () => {
		bench.change('inkling.completion.wholeLines', false);
		await pause(2000); // until the editor has read it and told the server
		await hands.open('pieces.py'); // what it holds does not depend on the steps before
		for (const typed of ['average = su', 'largest = ma', 'ordered = sor', 'pairs = zi', 'smallest = mi', 'numbered = enum']) {
			await hands.goToEnd();
			await page.keyboard.press('Enter');
			await page.keyboard.press('Home');
			const short = await hands.offered(typed).catch(() => '');
			if (short === '') {
				continue;
			}
			await page.keyboard.press('Alt+]');
			await until('another', async () => ![short, ''].includes(await hands.ghost()), 10_000).catch(() => '');
			const whole = await hands.someGhost();
			if (whole === short || !whole.startsWith(short)) {
				await page.keyboard.press('Tab'); // the model was sure; sent away, a few would make the server hold back
				continue;
			}
			await page.keyboard.press('Alt+[');
			await until('the short one', async () => (await hands.ghost()) === short);
			await shot('piece');
			await page.keyboard.press('Tab');
			const next = await hands.someGhost(15_000).catch(() => '');
			if (next === '') {
				continue; // what is left is not worth an offer
			}
			await page.keyboard.press('Tab');
			await hands.saved('pieces.py', `${typed}${short}${next}`);
			return `${JSON.stringify(short)} of ${JSON.stringify(whole)}, then ${JSON.stringify(next)}`;
		}
		assert.fail('no line ended early and went on');
	});
}
