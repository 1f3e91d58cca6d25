/** Nights and adapters in plain words. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Adapter, adapterRows, isRunning, nightRows, type NightStatus } from '../src/nights/words';

const night = (status: string): NightStatus => ({
	schedule: 'idle',
	next: '2026-11-27T03:00:00',
	waitsFor: null,
	last: { status, phase: 'train', message: 'step 5 of 20', done: 5, total: 20, started: 0 },
});
const adapter = (more: Partial<Adapter>): Adapter => ({
	name: 'n', state: 'candidate', base: 'b', at: 0, status: 'refused', reason: 'No better.', note: '', problem: null,
	dropped: false, ...more,
}); // prettier-ignore

test('a night that runs says how far it is, and nothing of the next one', () => {
	const [first, second] = nightRows(night('running'), null, 'b');
	assert.deepEqual([first?.label, first?.description, first?.context], ['A night runs 25 %', 'step 5 of 20', 'night.running']);
	assert.equal(second?.label, 'Served');
	assert.ok(isRunning(night('waiting')));
	assert.ok(!isRunning(night('promoted')) && !isRunning(undefined));
});

test('otherwise the next one, the verdict of the last one and what is served', () => {
	const rows = nightRows(night('refused'), 'n', 'b');
	assert.deepEqual(
		rows.map(({ label, description }) => `${label}: ${description}`),
		['Nights: next: 2026-11-27 03:00:00', 'The last night: refused: step 5 of 20', 'Served: n'],
	);
});

test('a night that had nothing to do is not one that failed for want of data', () => {
	const last = (code: string) => ({ ...night('skipped').last!, verdict: { code } });
	const label = (code: string) => nightRows({ ...night('skipped'), last: last(code) }, null, 'b')[1]?.label;
	assert.equal(label('on_trial'), 'The last night: nothing to train');
	assert.equal(label('not_enough_data'), 'The last night: not enough data');
});

test('an adapter without weights cannot be promoted', () => {
	const [row] = adapterRows({ base: 'b', served: null, before: null, canRollBack: false, adapters: [adapter({ dropped: true })] });
	assert.equal(row?.description, 'candidate · weights dropped');
	assert.equal(row?.context, 'adapter.dropped');
});

test('before the first night and with an older server there is still something to say', () => {
	assert.deepEqual(nightRows(undefined, null, 'b').map(({ description }) => description), ['started by hand only', 'b as it is shipped']);
});

test('an adapter shows its state and the first line of its note; its verdict is in the tooltip', () => {
	const [row] = adapterRows({ base: 'b', served: 'n', before: null, canRollBack: true, adapters: [adapter({ state: 'champion', note: 'Good.\nVery.' })] });
	assert.equal(row?.description, 'champion · Good.');
	assert.match(row?.tooltip ?? '', /No better\.\n\nYour note: Good\.\nVery\./);
	assert.equal(row?.context, 'adapter.champion');
});

test('a damaged adapter and one for other weights are told apart', () => {
	const adapters = [adapter({ problem: 'is damaged' }), adapter({ base: 'other' })];
	const [damaged, other] = adapterRows({ base: 'b', served: null, before: null, canRollBack: false, adapters });
	assert.deepEqual([damaged?.icon, damaged?.description], ['warning', 'candidate · is damaged']);
	assert.equal(other?.description, 'candidate · for other');
});
