/** The status in plain words. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describe, indexInWords, isWarmingUp, modelInWords, type Status } from '../src/status';

const STATUS: Status = {
	trusted: true,
	model: { state: 'ready', base: 'small', adapter: null },
	workspaces: [{ root: '/code/app', index: { phase: 'ready', ready: 'meaning', files: 9 }, consent: 'off' }],
	lastRefusal: null,
	told: [],
};

const detail = (status: Status, about: string): string | undefined =>
	describe(status, 600_000).find(({ label }) => label.includes(about))?.detail;

test('model, adapter, index and consent are always said', () => {
	assert.equal(detail(STATUS, 'Model'), 'small is ready');
	assert.match(detail(STATUS, 'Adapter') ?? '', /^none/);
	assert.equal(detail(STATUS, 'Index'), 'ready, 9 files');
	assert.equal(detail(STATUS, 'Recorded'), 'nothing');
});

test('the last refusal is said with its age', () => {
	const refused = { ...STATUS, lastRefusal: { reason: 'unsure', detail: 'Too unsure.', at: 480 } };
	assert.equal(detail(refused, 'Nothing was offered'), '2 min ago: Too unsure.');
	assert.equal(detail(STATUS, 'Nothing was offered'), undefined);
});

test('an untrusted workspace is named as such', () => {
	assert.equal(detail(STATUS, 'Not trusted'), undefined);
	assert.ok(detail({ ...STATUS, trusted: false }, 'Not trusted'));
});

test('several folders are told apart by their names', () => {
	const two = { ...STATUS, workspaces: ['/a/one', 'C:\\b\\two'].map((root) => ({ ...STATUS.workspaces[0]!, root })) };
	assert.ok(detail(two, 'Index of one'));
	assert.ok(detail(two, 'Index of two'));
});

test('missing weights come with the command that brings them', () => {
	assert.match(modelInWords({ state: 'off', base: 'small', adapter: null }), /inkling models pull small/);
	assert.equal(isWarmingUp({ state: 'off', base: 'small', adapter: null }), false);
	assert.equal(isWarmingUp({ state: 'loading', base: 'small', adapter: null }), true);
});

test('progress, faults and unknown words of the index are passed on', () => {
	assert.equal(
		indexInWords({ phase: 'embed', done: 3, total: 9, seconds_left: 1.5 }),
		'learning what they mean 3 of 9, about 2 s left',
	);
	assert.equal(indexInWords({ phase: 'ready', error: 'The disk is full.' }), 'The disk is full.');
	assert.equal(indexInWords({ phase: 'dreaming' }), 'dreaming');
});
