/** How long after the server's answer ghost text is on screen: steps for `run.mjs`. The figure is the machine's, too. */

import assert from 'node:assert/strict';
import { loadavg } from 'node:os';
import { until } from './workbench.mjs';

const AIM_MILLISECONDS = 50; // p95
const LINES = 24;
const ENOUGH = 12; // answers that were seen on screen
const LONGEST = 3000; // later than this it is the answer to something else

/** From now on note each ghost text in the page with the time of the frame that it is drawn in. */
export async function watchGhost(page) {
	await page.evaluate(() => {
		const seen = (globalThis.inklingSeen = []);
		let last = '';
		new MutationObserver(() => {
			const parts = [...document.querySelectorAll('.editor-instance .view-lines .ghost-text-decoration')];
			const text = parts.map((part) => part.textContent).join('').replaceAll('\u00a0', ' ');
			if (text !== last) {
				last = text;
				requestAnimationFrame(() => seen.push({ at: Date.now(), text }));
			}
		}).observe(document.body, { childList: true, subtree: true, characterData: true });
	});
}

/** Milliseconds from each offer of the traces to the first frame that shows it. `seen`: what `watchGhost` noted. */
function delays(seen, traces) {
	const offers = traces
		.flatMap((trace) => trace.trim().split('\n').map((line) => JSON.parse(line)))
		.filter((event) => event.call === 'offered')
		.map((event) => ({ at: event.at * 1000, line: event.text.split('\n')[0] }))
		.sort((one, other) => one.at - other.at);
	return offers.flatMap(({ at, line }, number) => {
		const end = Math.min(at + LONGEST, offers[number + 1]?.at ?? Infinity);
		const shown = seen.find((one) => one.at >= at && one.at < end && one.text !== '' && line.endsWith(one.text));
		return shown ? [shown.at - at] : [];
	});
}

export async function latencySteps({ bench, hands, step, traces }) {
	const { page } = bench;

	await step("how long after the server's answer ghost text is on screen is measured", async () => {
		await hands.open('values.py');
		await watchGhost(page);
		for (let number = 0; number < LINES; number += 1) {
			await hands.goToEnd();
			await page.keyboard.press('Enter');
			await page.keyboard.press('Home');
			await hands.type(`count_${number} = len(val`);
			const shown = await hands.someGhost(6000).catch(() => ''); // the model may have nothing to say
			if (shown) {
				await page.keyboard.press('Tab'); // what is sent away would not come again
			}
			await until('end of the ghost text', async () => {
				if ((await hands.ghost()) === '') {
					return true;
				}
				await page.keyboard.press('Escape'); // it came too late for the Tab
				return false;
			});
		}
		const seen = await page.evaluate(() => globalThis.inklingSeen);
		const found = delays(seen, traces()).sort((one, other) => one - other);
		assert.ok(found.length >= ENOUGH, `only ${found.length} answers were seen on screen`);
		const at = (share) => Math.round(found[Math.min(found.length - 1, Math.floor(share * found.length))]);
		const verdict = at(0.95) <= AIM_MILLISECONDS ? 'held' : 'not held';
		return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, most ${at(1)} ms of ${found.length}; ${AIM_MILLISECONDS} ms for p95 are ${verdict}, under a load of ${loadavg()[0].toFixed(1)}`;
	});
}
