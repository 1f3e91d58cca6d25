/** Which settings travel, and what a change of them needs. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Chosen, chosen, nested, whatChanged } from '../src/start/settings';

const of = (values: Record<string, unknown>): Chosen => new Map(Object.entries(values));

test('a default is not sent, a choice is, even if it equals the default', () => {
	const picked = chosen(['completion.maxTokens', 'completion.mode'], (name) => ({
		value: name,
		chosenAt: [undefined, name === 'completion.mode' ? 'balanced' : undefined],
	}));
	assert.deepEqual([...picked.keys()], ['completion.mode']);
});

test('where the server is does not concern the server', () => {
	const picked = chosen(['path', 'interpreter', 'index.enabled'], () => ({ value: 1, chosenAt: [1] }));
	assert.deepEqual(nested(picked), { index: { enabled: 1 } });
});

test('names become nested groups', () => {
	const groups = nested(of({ 'completion.mode': 'quiet', 'completion.maxTokens': 8, 'night.budget': '5m' }));
	assert.deepEqual(groups, { completion: { mode: 'quiet', maxTokens: 8 }, night: { budget: '5m' } });
});

test('a changed completion setting is told, a changed model needs a restart', () => {
	const before = of({ 'completion.mode': 'quiet', 'model.threads': 1 });
	assert.equal(whatChanged(before, of({ 'completion.mode': 'eager', 'model.threads': 1 })), 'live');
	assert.equal(whatChanged(before, of({ 'completion.mode': 'eager', 'model.threads': 2 })), 'restart');
});

test('a value that was taken back needs a restart', () => {
	assert.equal(whatChanged(of({ 'completion.mode': 'quiet' }), of({})), 'restart');
});

test('equal lists are no change', () => {
	const off = () => of({ 'completion.languagesOff': ['markdown'] });
	assert.equal(whatChanged(off(), off()), 'nothing');
});
