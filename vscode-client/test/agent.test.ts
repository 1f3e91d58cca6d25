/** A run of the agent as the view shows it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentPage } from '../src/agent/page';
import { begun, ended, type Run, type Step, size, stepped } from '../src/agent/run';

const text = (piece: string): Step => ({ kind: 'text', text: piece, id: '', name: '', input: null });
const call = (id: string): Step => ({ kind: 'call', text: '', id, name: 'read_file', input: { path: 'a.py', first: 3 } });
const result = (id: string, said: string): Step => ({ kind: 'result', text: said, id, name: 'read_file', input: null });
const after = (...steps: Step[]): Run => steps.reduce(stepped, begun('1', 'explain', 'a.py:1'));
const outcome = (said: string) => ({ finished: true, text: said, model: 'M', turns: 1, proposals: [] });

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
