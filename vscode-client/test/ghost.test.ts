/** What is known of a suggestion on screen, and how much of it was taken. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { minutesLeftToday } from '../src/ghost/today';
import { Tracker } from '../src/ghost/tracker';

const typed = (rangeOffset: number, text: string, rangeLength = 0) => [{ rangeOffset, rangeLength, text }];

function offering(text: string, offset = 10): Tracker {
	const tracker = new Tracker();
	tracker.offered('file', offset, [{ id: 'a', text }]);
	return tracker;
}

test('a suggestion stands only where it was offered', () => {
	const tracker = offering('sum(values)');
	assert.equal(tracker.at('file', 10)?.id, 'a');
	assert.equal(tracker.at('file', 11), undefined);
	assert.equal(tracker.at('other', 10), undefined);
});

test('what is taken is counted from the beginning, piece by piece', () => {
	const tracker = offering('sum(values)');
	tracker.changed('file', typed(10, 'sum'));
	assert.equal(tracker.lengthTaken('a'), 3);
	tracker.changed('file', typed(13, '(values'));
	assert.equal(tracker.lengthTaken('a'), 10);
	assert.equal(tracker.at('file', 20)?.id, 'a');
});

test('asked again, the server sends the rest: the count goes on', () => {
	const tracker = offering('sum(values)');
	tracker.changed('file', typed(10, 's'));
	tracker.offered('file', 11, [{ id: 'a', text: 'um(values)' }]);
	tracker.changed('file', typed(11, 'um'));
	assert.equal(tracker.lengthTaken('a'), 3);
});

test('the same for one that the user went on to', () => {
	const tracker = new Tracker();
	tracker.offered('file', 10, [{ id: 'a', text: 'sum(values)' }, { id: 'b', text: 'max of all' }]);
	tracker.cycle(1);
	tracker.changed('file', typed(10, 'max'));
	assert.equal(tracker.lengthTaken('b'), 3);
	tracker.offered('file', 13, [{ id: 'b', text: ' of all' }]);
	tracker.changed('file', typed(13, ' of'));
	assert.equal(tracker.lengthTaken('b'), 6);
});

test('characters are counted, not UTF-16 units', () => {
	const tracker = offering('"🦑" + x');
	tracker.changed('file', typed(10, '"🦑"'));
	assert.equal(tracker.lengthTaken('a'), 3);
});

test('line breaks of Windows count once, but move the cursor twice', () => {
	const tracker = offering('a\nb\nc');
	tracker.changed('file', typed(10, 'a\r\nb'));
	assert.equal(tracker.lengthTaken('a'), 3);
	assert.equal(tracker.at('file', 14)?.id, 'a');
});

test('the last piece, another text and a change elsewhere end it', () => {
	for (const change of [typed(10, 'sum'), typed(10, 'x'), typed(2, 's'), typed(9, '', 1)]) {
		const tracker = offering('sum');
		tracker.changed('file', change);
		assert.equal(tracker.isOffering, false);
		assert.equal(tracker.lengthTaken('a'), undefined);
	}
});

test('another document does not end it, moving away does', () => {
	const tracker = offering('sum');
	tracker.changed('other', typed(0, 'x'));
	assert.ok(tracker.isOffering);
	tracker.moved('file', 10);
	assert.ok(tracker.isOffering);
	tracker.moved('file', 4);
	assert.equal(tracker.isOffering, false);
});

test('next and previous go round', () => {
	const tracker = new Tracker();
	tracker.offered('file', 0, [
		{ id: 'a', text: 'one' },
		{ id: 'b', text: 'two' },
	]);
	tracker.cycle(1);
	assert.equal(tracker.at('file', 0)?.id, 'b');
	tracker.cycle(1);
	assert.equal(tracker.at('file', 0)?.id, 'a');
	tracker.cycle(-1);
	assert.equal(tracker.at('file', 0)?.id, 'b');
});

test('asked for the next one, the editor may come with more, and the next one is it', () => {
	const tracker = offering('sum');
	tracker.cycle(1);
	assert.equal(tracker.at('file', 10)?.id, 'a'); // there is no other yet
	tracker.offered('file', 10, [
		{ id: 'a', text: 'sum' },
		{ id: 'b', text: 'len' },
	]);
	assert.equal(tracker.at('file', 10)?.id, 'b');
	tracker.offered('file', 10, [{ id: 'c', text: 'map' }]);
	assert.equal(tracker.at('file', 10)?.id, 'c');
});

test('no suggestion where there was one ends it', () => {
	const tracker = offering('sum');
	tracker.offered('file', 10, []);
	assert.equal(tracker.isOffering, false);
});

test('today lasts until midnight', () => {
	assert.equal(minutesLeftToday(new Date(2026, 0, 31, 23, 0)), 60);
	assert.equal(minutesLeftToday(new Date(2026, 0, 31, 23, 59, 59)), 1);
});
