/** Nights and adapters in the workbench: steps for `run.mjs`. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { until } from './workbench.mjs';

const SHIPPED = path.join(import.meta.dirname, '..', '..', 'model', 'weights', 'smollm2-135m-instruct');

export async function nightSteps({ bench, hands, step, shot, inkling }) {
	const { page } = bench;
	const rows = page.locator('.pane', { hasText: 'Nights' }).locator('.monaco-list-row');
	const text = async () => (await rows.allInnerTexts()).join('\n').replaceAll('\u00a0', ' ');
	const row = (name) => rows.filter({ hasText: name }).first();

	await step('a night without enough data says how much it needs, in a message and in the view', async () => {
		await hands.command('Inkling: Focus on Nights View');
		await until('what is served', async () => /Served/.test(await text()));
		await hands.command('Inkling: Run a Night');
		await page.locator('.notification-toast', { hasText: 'needs 300 settled regions' }).first().waitFor({ timeout: 90_000 });
		await until('the verdict in the view', async () => /The last night/.test(await text()));
		return (await text()).split('\n').slice(0, 4).join(' ');
	});

	await step('an adapter is noted, promoted, served and rolled back', async () => {
		const log = execFileSync(inkling, ['models', 'import', SHIPPED], { env: bench.env }).toString();
		await hands.command('Inkling: Note About an Adapter');
		await page.locator('.quick-input-list .monaco-list-row', { hasText: 'candidate' }).first().click();
		await page.locator('.quick-input-widget input').first().fill('Tried by hand');
		await page.keyboard.press('Enter');
		await until('the note', async () => /Tried by hand/.test(await text()));
		await row('candidate').hover();
		await row('candidate').locator('.codicon-star-empty').click();
		await page.locator('.monaco-dialog-box .monaco-button', { hasText: 'Promote' }).first().click();
		await until('the champion', async () => /champion/.test(await text()));
		await shot('nights');
		const served = JSON.parse(execFileSync(inkling, ['models', 'list', '--json'], { env: bench.env }).toString()).adapters;
		assert.equal(served[0].state, 'champion');
		await hands.command('Inkling: Roll Back the Adapter');
		await page.locator('.monaco-dialog-box .monaco-button', { hasText: 'Roll Back' }).first().click();
		await until('the base', async () => /retired/.test(await text()));
		return log.trim().split('\n').at(-1);
	});
}
