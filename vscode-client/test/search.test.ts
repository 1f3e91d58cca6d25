/** Questions, the history, and how a hit looks. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { remember } from '../src/search/history';
import { type Hit, keyOf, question, rowOf } from '../src/search/messages';

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

test('only filters that were set are asked for', () => {
	const asked = question('area', { kind: 'class', language: ' ', path: 'src/**' });
	assert.deepEqual(asked, { query: 'area', limit: 60, kind: 'class', path: 'src/**' });
});

test('a question moves to the front of the history when it is asked again', () => {
	assert.deepEqual(remember(['b', 'a'], ' a '), ['a', 'b']);
	assert.deepEqual(remember(['a'], '  '), ['a']);
	const many = Array.from({ length: 40 }, (_, number) => String(number));
	assert.equal(remember(many, 'new').length, 30);
});

test('a question that is typed on takes the place of its beginning', () => {
	assert.deepEqual(remember(['parse', 'b'], 'parse con'), ['parse con', 'b']);
	assert.deepEqual(remember(['parse con', 'b'], 'parse'), ['parse', 'parse con', 'b']);
	assert.deepEqual(remember([], 'a'), ['a']);
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
