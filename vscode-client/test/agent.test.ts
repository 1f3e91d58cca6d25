/** A run of the agent as the view shows it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Block, blocksOf, Elements } from '../src/agent/blocks';
import { agentPage } from '../src/agent/page';
import { begun, ended, type Proposal, type Run, type Step, size, steering, stepped } from '../src/agent/run';

const text = (piece: string): Step => ({ kind: 'text', text: piece, id: '', name: '', input: null });
const call = (id: string): Step => ({ kind: 'call', text: '', id, name: 'read_file', input: { path: 'a.py', first: 3 } });
const result = (id: string, said: string): Step => ({ kind: 'result', text: said, id, name: 'read_file', input: null });
const after = (...steps: Step[]): Run => steps.reduce(stepped, begun('1', 'explain', 'a.py:1'));
const outcome = (said: string) => ({ finished: true, message: '', text: said, model: 'M', turns: 1, proposals: [] });

test('pieces of text grow together, a tool call stands between', () => {
	const { parts } = after(text('Let me '), text('look.'), call('1'), text('It is'), text(' so.'));
	assert.deepEqual(parts.map((part) => (part.kind === 'text' ? part.text : part.name)), ['Let me look.', 'read_file', 'It is so.']);
});

test('an answer joins its call, also when a model gives the same id again', () => {
	const { parts } = after(call('1'), result('1', 'one'), call('1'), result('1', 'two'));
	assert.deepEqual(parts.map((part) => part.kind === 'call' && part.answer), ['one', 'two']);
	assert.equal(parts[0]?.kind === 'call' && parts[0].input, 'path: a.py\nfirst: 3');
});

test('what was streamed is not said twice, what was not is said once', () => {
	assert.equal(ended(after(text('yes')), outcome('yes')).parts.length, 1);
	assert.deepEqual(ended(after(call('1')), outcome('yes')).parts.at(-1), { kind: 'text', text: 'yes' });
});

test('what was streamed otherwise than it came whole is replaced, not said twice', () => {
	const { parts } = ended(after(call('1'), text('Yes, '), text('it is')), outcome('Yes, it is.'));
	assert.deepEqual(parts.slice(1), [{ kind: 'text', text: 'Yes, it is.' }]);
	assert.equal(ended(after(call('1')), outcome('\n')).parts.length, 1);
});

test('a run that was cut off says so, and what it said before its last call is not said again', () => {
	const cut = { ...outcome('Once more.'), finished: false, turns: 16 };
	const run = ended(after(text('Once more.'), call('1'), result('1', 'x')), cut);
	assert.deepEqual([run.state, run.turns, run.parts.length], ['unfinished', 16, 2]);
	assert.deepEqual(ended(after(call('1')), cut).parts.at(-1), { kind: 'text', text: 'Once more.' });
	assert.deepEqual(blocksOf(run).at(-1), { key: 'unfinished', kind: 'unfinished', turns: 16 });
});

const proposed = (path: string, place = path): Proposal => ({ path, place, uri: '', before: '', after: '', diff: '' });

test('a run that the model refused to go on with says why, and keeps what it proposed', () => {
	const proposal = proposed('a.py');
	const run = ended(after(call('1')), { ...outcome(''), finished: false, message: 'Too long.', proposals: [proposal] });
	assert.deepEqual([run.state, run.note, run.proposals], ['unfinished', 'Too long.', [proposal]]);
});

test('what steers the editor or other programs is known by its path', () => {
	const held = (...paths: string[]) => steering(paths.map((path) => proposed(path)));
	for (const path of ['.vscode/tasks.json', 'sub/.github/workflows/x.yml', '.envrc', 'a.code-workspace']) {
		assert.equal(held('a.py', path), path);
	}
	assert.equal(held('a.py', 'docs/index.d.ts', 'a..b/c.py'), undefined);
	assert.equal(steering([proposed('docs/tasks.json', '.vscode/tasks.json')]), 'docs/tasks.json');
});

/** An element that stands in a list of them, as the page's do. */
class Item {
	constructor(private readonly list: Item[], readonly block: Block, readonly before?: Item) {}

	replaceWith(other: Item): void {
		this.list[this.list.indexOf(this)] = other;
	}

	remove(): void {
		this.list.splice(this.list.indexOf(this), 1);
	}
}

test('while text streams in, only its part is made anew: the button to stop stays what it is', () => {
	const list: Item[] = [];
	const parent = {
		insertBefore: (item: Item, next: Item | null) => list.splice(next === null ? list.length : list.indexOf(next), 0, item),
	};
	const elements = new Elements<Item>(parent, (block, before) => new Item(list, block, before));
	const shown = (run: Run) => {
		elements.follow(blocksOf(run));
		assert.deepEqual(list.map(({ block }) => block), blocksOf(run));
		return [...list];
	};
	const first = shown(after(call('1'), text('It')));
	const second = shown(after(call('1'), text('It'), text(' is')));
	assert.deepEqual(second.map((item, index) => item === first[index]), [true, true, false, true]);
	assert.equal(second[2]?.before, first[2]);
	const third = shown(after(call('1'), text('It'), text(' is'), call('2')));
	assert.equal(third.at(-1), first.at(-1));
	const last = shown(ended(after(call('1'), text('It is')), outcome('It is')));
	assert.deepEqual(last.map(({ block }) => block.kind), ['title', 'part', 'part']);
	assert.equal(last[1], first[1]);
});

test('a run shows what was changed, what went wrong, and what still waits', () => {
	const proposal = proposed('b.py');
	const run = { ...after(), state: 'done' as const, applied: ['a.py'], note: 'No.', proposals: [proposal] };
	assert.deepEqual(blocksOf(run).map(({ kind }) => kind), ['title', 'note', 'proposals', 'applied', 'buttons']);
});

test('a refusal keeps its reason, so that the view can offer the setting', () => {
	const run = ended(after(), { refused: 'off', message: 'Set inkling.agent.model.' });
	assert.deepEqual([run.state, run.reason, run.note], ['refused', 'off', 'Set inkling.agent.model.']);
});

test('the size of a proposal is counted in lines, without the names of the file', () => {
	assert.equal(size('--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n c\n+d'), '+2 −1');
});

test('the page runs nothing but its own script', () => {
	const html = agentPage('https://x/agent.js', 'https://x', 'en');
	assert.match(html, /default-src 'none'/);
	assert.equal([...html.matchAll(/<script/g)].length, 1);
});
