/** Questions in stages, the history, and how a hit looks. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { remember } from '../src/search/history';
import { type Hit, keyOf, rowOf } from '../src/search/messages';
import { type Question, search } from '../src/search/stages';

const hit = (line: number, more: Partial<Hit> = {}): Hit => ({
	uri: 'file:///code/a.py',
	path: 'a.py',
	range: { start: { line }, end: { line: line + 2 } },
	language: 'python',
	kind: 'function',
	name: 'area',
	scope: '',
	text: '    def area(self):\n\n        return 1\n',
	matched: ['meaning'],
	...more,
});

const NONE = { kind: '', language: '', path: '' };

async function all(count: number, filters = NONE) {
	const asked: Question[] = [];
	const stages: number[][] = [];
	const ask = async (question: Question) => {
		asked.push(question);
		return Array.from({ length: Math.min(count, question.limit) }, (_, line) => hit(line));
	};
	for await (const { hits, done } of search('area', filters, ask)) {
		stages.push(hits.map(({ range }) => range.start.line));
		assert.equal(done, asked.length === 2 || count < 8);
	}
	return { asked, stages };
}

test('a few results come first, then the rest, none twice', async () => {
	const { stages } = await all(20);
	assert.deepEqual(stages[0], [0, 1, 2, 3, 4, 5, 6, 7]);
	assert.equal(stages[1]?.[0], 8);
	assert.equal(stages.flat().length, 20);
});

test('where the first few are all, the server is asked once', async () => {
	assert.equal((await all(3)).asked.length, 1);
});

test('only filters that were set are asked for', async () => {
	const { asked } = await all(1, { kind: 'class', language: ' ', path: 'src/**' });
	assert.deepEqual(asked[0], { query: 'area', limit: 8, kind: 'class', path: 'src/**' });
});

test('a question moves to the front of the history when it is asked again', () => {
	assert.deepEqual(remember(['b', 'a'], ' a '), ['a', 'b']);
	assert.deepEqual(remember(['a'], '  '), ['a']);
	const many = Array.from({ length: 40 }, (_, number) => String(number));
	assert.equal(remember(many, 'new').length, 30);
});

test('a row names what was found and where, and shows its lines without their margin', () => {
	const row = rowOf(hit(4, { scope: 'Circle' }));
	assert.equal(row.title, 'Circle.area');
	assert.equal(row.place, 'a.py:5');
	assert.deepEqual(row.lines, ['def area(self):', '    return 1']);
	assert.equal(rowOf(hit(0, { name: '' })).title, 'def area(self):');
	assert.notEqual(keyOf(hit(0)), keyOf(hit(1)));
});

test('a hit without a text is still a row', () => {
	assert.deepEqual(rowOf(hit(0, { text: '', name: '' })).lines, []);
	assert.equal(rowOf(hit(0, { text: '', name: '' })).title, 'a.py');
});
