/** What a person does in the workbench, and what a person sees there. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { until } from './workbench.mjs';

export function handsOn({ page, workspace }) {
	const hands = {
		/** Run a command of the palette by its name. */
		async command(name) {
			await page.keyboard.press('F1');
			const box = page.locator('.quick-input-widget input.input');
			await box.waitFor({ state: 'visible' });
			await box.fill(`>${name}`);
			// The first row may be another command that has all these words.
			await page.locator(`.quick-input-list .monaco-list-row[aria-label^="${name}"]`).first().click();
		},
		/** Open a file of the workspace by its name. */
		async open(name) {
			await page.keyboard.press('F1');
			const box = page.locator('.quick-input-widget input.input');
			await box.waitFor({ state: 'visible' });
			await box.fill(name);
			await page.locator('.quick-input-list .monaco-list-row', { hasText: name }).first().waitFor();
			await page.keyboard.press('Enter');
			await box.waitFor({ state: 'hidden' }); // else the next key goes there
			await page.locator('.tab.active', { hasText: name }).waitFor();
		},
		/** Put the cursor at the end of the file. */
		async goToEnd() {
			await page.locator('.editor-instance .monaco-editor .view-lines').first().click();
			await page.keyboard.press('Control+End');
		},
		type: (text) => page.keyboard.type(text, { delay: 30 }),
		/** The ghost text on screen; '' if there is none. */
		async ghost() {
			const first = await page.locator('.editor-instance .view-lines .ghost-text-decoration').allTextContents();
			const further = await page.locator('.editor-instance .suggest-preview-text').allTextContents();
			return [first.join(''), ...further].join('\n').replaceAll('\u00a0', ' ');
		},
		/** Wait for ghost text that stands still. */
		async someGhost(milliseconds = 60_000) {
			let last = '';
			return until('ghost text', async () => {
				const now = await hands.ghost();
				const still = now !== '' && now === last;
				last = now;
				return still && now;
			}, milliseconds);
		},
		/** Type this and wait for ghost text. Where none comes its last character is typed again, as people do. */
		async offered(text) {
			await hands.type(text);
			for (const more of [true, true, false]) {
				try {
					return await hands.someGhost(20_000);
				} catch (error) {
					if (!more) {
						throw error;
					}
					console.log(`     no ghost text behind ${JSON.stringify(text)}: its end is typed again`);
					await page.keyboard.press('Backspace');
					await hands.type(text.at(-1));
				}
			}
		},
		/** Save until the file holds it, and return the text. */
		async saved(name, holds) {
			return until(`${name} with ${JSON.stringify(holds)}`, async () => {
				await page.keyboard.press('Control+s');
				const text = readFileSync(path.join(workspace, name), 'utf8');
				return text.includes(holds) && text;
			});
		},
		/** The inside of the webview that holds `selector`. */
		async inPage(selector) {
			return until(`page with ${selector}`, async () => {
				for (const frame of page.frames().filter((one) => one.parentFrame() !== null)) {
					if ((await frame.locator(selector).count().catch(() => 0)) > 0) {
						return frame;
					}
				}
				return undefined;
			});
		},
		/** The text of the status bar item. */
		bar: () => page.locator('.statusbar-item[id^="inkling"]').first(),
	};
	return hands;
}
