/** The agent in the workbench, with a scripted chat model that goes the editor's real way: steps for `run.mjs`. */

import assert from 'node:assert/strict';
import { until } from './workbench.mjs';

export async function agentSteps({ bench, hands, step, shot }) {
	const { page } = bench;
	const last = (inside, kind = '') => inside.locator(`article${kind}`).last();
	const press = async (inside, what) => last(inside).locator(`button[data-do=${what}]`).first().click();

	/** Put the cursor into a method of shapes.py. */
	const inMethod = async () => {
		await hands.open('shapes.py');
		await page.locator('.editor-instance .monaco-editor .view-lines').last().click();
		await page.keyboard.press('Control+Home');
		for (let line = 0; line < 10; line += 1) {
			await page.keyboard.press('ArrowDown');
		}
	};

	/** Take back what the last run did to shapes.py, in which its area has got a docstring. */
	const takeBack = async (before) => {
		await hands.open('shapes.py');
		const saved = await hands.saved('shapes.py', '"""Its area."""');
		await press(await hands.inPage('#runs'), 'undo');
		await last(await hands.inPage('#runs')).locator('.note', { hasText: 'Taken back' }).waitFor();
		await hands.open('shapes.py');
		await until('text before', async () => {
			await page.keyboard.press('Control+s');
			return bench.read('shapes.py') === before;
		});
		return saved;
	};

	await step('without leave for a chat model, explaining names the setting', async () => {
		await inMethod();
		await hands.command('Inkling: Explain This Code');
		const inside = await hands.inPage('#runs');
		const note = last(inside, '.refused').locator('.note');
		await note.waitFor();
		assert.match(await note.innerText(), /inkling\.agent\.model/);
		await last(inside).locator('button[data-do=cure]').waitFor();
		await shot('agent-off');
	});

	await step("with leave, the editor's model explains, and what it looked up is folded", async () => {
		bench.change('inkling.agent.model', 'editor');
		await inMethod();
		const inside = await hands.inPage('#runs');
		const runs = inside.locator('article');
		const done = await until('a run with leave', async () => {
			const before = await runs.count();
			await hands.command('Inkling: Explain This Code'); // the server hears of the setting a moment later
			await until('a further run', async () => (await runs.count()) > before);
			const run = runs.nth(before);
			const state = await until('its end', async () => /done|unfinished|stopped|refused|failed/.exec((await run.getAttribute('class')) ?? '')?.[0]);
			return state === 'done' && run;
		}, 120_000);
		assert.match(await done.innerText(), /It measures the area of a circle/);
		assert.equal(await done.locator('details').count(), 1);
		assert.equal(await done.locator('details[open]').count(), 0);
		await done.locator('summary').click();
		assert.match(await done.locator('details[open]').innerText(), /class Circle/);
		await shot('agent-explain');
	});

	await step('a proposal is reviewed place by place in the diff, applied, and taken back', async () => {
		const before = bench.read('shapes.py');
		await inMethod();
		await hands.command('Inkling: Document This Code');
		const inside = await hands.inPage('#runs');
		await last(inside).locator('button[data-do=review]').waitFor();
		assert.equal(bench.read('shapes.py'), before);
		await press(inside, 'review');
		await page.locator('.monaco-diff-editor .view-line', { hasText: 'Its area.' }).first().waitFor();
		await page.locator('.monaco-diff-editor .editor.modified .view-line', { hasText: 'A circle of this radius' }).first().hover();
		await shot('agent-review');
		await page.locator('.monaco-diff-editor .codicon-arrow-right, .monaco-diff-editor .codicon-diff-revert').first().click();
		await until('one place less', async () =>
			(await page.locator('.monaco-diff-editor .editor.modified .view-line', { hasText: 'A circle of this radius' }).count()) === 0);
		await hands.command('Inkling: Apply What Was Reviewed');
		await until('end of the review', async () => (await page.locator('.tab', { hasText: 'what the agent proposes' }).count()) === 0);
		const saved = await takeBack(before);
		assert.ok(!saved.includes('A circle of this radius'));
	});

	await step('what is turned down changes nothing', async () => {
		const before = bench.read('shapes.py');
		await inMethod();
		await hands.command('Inkling: Document This Code');
		const inside = await hands.inPage('#runs');
		await last(inside).locator('button[data-do=deny]').waitFor();
		await press(inside, 'deny');
		await last(inside).locator('.note', { hasText: 'Turned down' }).waitFor();
		assert.equal(bench.read('shapes.py'), before);
	});

	await step('what the user wants no review of is applied at once, and taken back', async () => {
		const before = bench.read('shapes.py');
		await inMethod();
		await hands.command('Inkling: Document This Code');
		const inside = await hands.inPage('#runs');
		await last(inside).locator('button[data-do=always]').waitFor();
		await press(inside, 'always');
		await takeBack(before);
		await inMethod();
		await hands.command('Inkling: Document This Code');
		await hands.inPage('#runs');
		await last(inside).locator('.note', { hasText: 'without a review' }).waitFor();
		await shot('agent-always');
		await takeBack(before);
	});

	await step('a test is written as a new file', async () => {
		await inMethod();
		await hands.command('Inkling: Write a Test for This Code');
		const inside = await hands.inPage('#runs');
		await last(inside).locator('button[data-do=apply]').waitFor();
		await shot('agent-test');
		await press(inside, 'apply');
		await until('new file', () => bench.exists('test_shapes.py'));
	});

	await step('a run that takes too long is stopped', async () => {
		const inside = await hands.inPage('#question');
		await inside.locator('#question').fill('Think about everything.');
		await inside.locator('#question').press('Enter');
		await last(inside, '.running').locator('button[data-do=stop]').click();
		await last(inside, '.stopped').waitFor();
	});

	await step("the fix asks the editor's model where neither the linter nor anything else has a repair", async () => {
		await hands.open('loose.py');
		await page.locator('.editor-instance .monaco-editor .view-lines').last().click();
		await page.keyboard.press('Control+Home');
		await page.keyboard.press('ArrowDown');
		await page.locator('.squiggly-error, .squiggly-warning').first().waitFor();
		await hands.command('Inkling: Fix This Finding');
		await hands.saved('loose.py', 'print(len(values))');
		await shot('agent-fix');
	});
}
