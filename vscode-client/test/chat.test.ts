/** The editor's models: which one is meant, and what is said where none answers. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noModel, pick, refusal } from '../src/chat/words';

const MODELS = [
	{ id: 'large-1', family: 'large', name: 'Large' },
	{ id: 'small-1', family: 'small', name: 'Small' },
];

test('a model is meant by id, family or name; an empty wish is met by the first', () => {
	for (const wish of ['small-1', 'small', 'Small', ' small ']) {
		assert.equal(pick(MODELS, wish)?.id, 'small-1');
	}
	assert.equal(pick(MODELS, '')?.id, 'large-1');
	assert.equal(pick(MODELS, 'other'), undefined);
	assert.equal(pick([], ''), undefined);
});

test('an id wins over a family of the same name', () => {
	assert.equal(pick([{ id: 'a', family: 'b', name: '' }, { id: 'b', family: 'c', name: '' }], 'b')?.id, 'b');
});

test('without a model the answer says what to install, with others which there are and where to choose', () => {
	const none = noModel([], '');
	assert.ok('refused' in none && none.refused === 'no_model' && /install an extension/.test(none.message));
	const other = noModel(MODELS, 'huge');
	assert.ok('refused' in other && /huge; it has large-1, small-1.*inkling\.agent\.editorModel/.test(other.message));
});

test("the editor's own errors keep their reason", () => {
	const reasons = ['NoPermissions', 'Blocked', 'NotFound', 'Unknown'].map((code) => {
		const answer = refusal(Object.assign(new Error('why'), { code }));
		return 'refused' in answer && answer.refused;
	});
	assert.deepEqual(reasons, ['no_permission', 'blocked', 'no_model', 'failed']);
	const answer = refusal(undefined);
	assert.ok('refused' in answer && answer.refused === 'failed');
});
