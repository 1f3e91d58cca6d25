/** What pages hold and what they keep out. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Asked, consentPage } from '../src/consent/page';
import { recordedText } from '../src/consent/recordedText';
import { underTheme } from '../src/insights/page';
import { searchPage } from '../src/search/page';
import { escape, page } from '../src/views/page';

const ASKED: Asked = {
	folders: [{ root: '/code/app', consent: 'off' }],
	bound: 'everything',
	places: { feedback: '/data/feedback.sqlite', index: '/cache/index', encoded: '/cache/documents', logs: '/cache/logs' },
	days: 180,
	language: 'en',
};

const inputs = (html: string) => [...html.matchAll(/<input type="radio"[^>]*>/g)].map(([input]) => input);
const checked = (html: string) => inputs(html).filter((input) => input.includes(' checked')).map((input) => /value="(\w+)"/.exec(input)?.[1]);
const possible = (html: string) => inputs(html).filter((input) => !input.includes(' disabled')).map((input) => /value="(\w+)"/.exec(input)?.[1]);

test('nothing is chosen for the user', () => {
	assert.deepEqual(checked(consentPage(ASKED)), ['off']);
	assert.deepEqual(possible(consentPage(ASKED)), ['off', 'local', 'team']);
});

test('what was chosen stands there, folder by folder', () => {
	const folders = [
		{ root: '/a', consent: 'local' },
		{ root: '/b', consent: 'off' },
	];
	assert.deepEqual(checked(consentPage({ ...ASKED, folders })), ['local', 'off']);
});

test("with the editor's telemetry off only 'nothing' can be chosen, or what stays on this machine", () => {
	assert.deepEqual(possible(consentPage({ ...ASKED, bound: 'nothing' })), ['off']);
	assert.deepEqual(possible(consentPage({ ...ASKED, bound: 'local' })), ['off', 'local']);
	assert.match(consentPage({ ...ASKED, bound: 'nothing' }), /data-do="allow"/);
	assert.doesNotMatch(consentPage({ ...ASKED, bound: 'local' }), /data-do="allow"/);
});

test('the page says where the record lies and for how long', () => {
	const html = consentPage(ASKED);
	assert.match(html, /\/data\/feedback\.sqlite/);
	assert.match(html, /180 days/);
});

test('a folder with a hostile name stays text', () => {
	const html = consentPage({ ...ASKED, folders: [{ root: '/x"><script>alert(1)</script>', consent: 'off' }] });
	assert.doesNotMatch(html, /<script>alert/);
	assert.equal(escape(`<a href='x'>&</a>`), '&lt;a href=&#39;x&#39;&gt;&amp;&lt;/a&gt;');
});

test('only scripts with the nonce of this very page may run, and nothing is fetched', () => {
	const html = page({ title: 'T', body: '', script: 'run()' });
	const nonce = /script-src 'nonce-([^']+)'/.exec(html)?.[1];
	assert.ok(nonce && html.includes(`<script nonce="${nonce}">run()</script>`));
	assert.match(html, /default-src 'none'/);
	assert.notEqual(nonce, /script-src 'nonce-([^']+)'/.exec(page({ title: 'T', body: '' }))?.[1]);
});

test('every field of the search has a name for screen readers', () => {
	const html = searchPage('search.js', 'self', 'en');
	for (const [field] of html.matchAll(/<(input|select)\b[^>]*>/g)) {
		assert.match(field, /aria-label="[^"]+"/);
	}
});

test('the record reads as a text, with secrets and lost texts said', () => {
	const entries = [
		{ id: 'abcdefabcdefabcdef', at: 0, path: 'a.py', line: 4, text: 'x = ```y```', outcome: { kind: 'accepted' }, redacted: true },
		{ id: 'c', at: 0, path: 'c.py', line: 0, text: 'x', outcome: null, decision: { shown: false } },
		{ id: 'b', at: 0, path: 'b.py', line: 0, text: null, outcome: null },
	];
	const text = recordedText('/code', entries, 200);
	assert.match(text, /## a\.py:5: accepted/);
	assert.match(text, /1970-01-01 00:00 UTC, abcdefabcdef, secrets taken out/);
	assert.match(text, /^````$/m);
	assert.match(text, /b\.py:1: not decided yet/);
	assert.match(text, /c\.py:1: made, but not shown/);
	assert.match(text, /not kept/);
	assert.match(recordedText(undefined, [], 200), /Nothing\./);
});

test('the page of plots takes the colours of the editor, and may run and load nothing', () => {
	const html = underTheme('<!doctype html><html><head><style>body { color: black }</style></head><body>plots</body></html>');
	assert.match(html, /<head><meta http-equiv="Content-Security-Policy" content="default-src 'none'/);
	assert.match(html, /--vscode-foreground[^]*<\/head><body>plots/);
	assert.match(underTheme('plots'), /default-src 'none'[^]*plots/);
});
