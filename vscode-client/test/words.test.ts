/** Words: every one can be translated, every one that is named is there. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fill, t, translateWith } from '../src/l10n';

const read = (file: string) => readFileSync(file, 'utf8');
const manifest = read('package.json');
const words = JSON.parse(read('package.nls.json')) as Record<string, string>;

test('every sentence of the sources is in the list for translators (npm run sentences)', async () => {
	const script = new URL(`file://${process.cwd()}/scripts/sentences.mjs`).href;
	const { bundle, sentencesIn } = (await import(script)) as {
		bundle: (sentences: string[]) => string;
		sentencesIn: (folder: string) => string[];
	};
	assert.equal(read('l10n/bundle.l10n.json'), bundle(sentencesIn('src')));
});

test('every word that the manifest names is in package.nls.json, and no other', () => {
	const named = [...manifest.matchAll(/"%([^%"]+)%"/g)].map(([, key]) => key ?? '');
	assert.deepEqual([...new Set(named)].sort(), Object.keys(words).sort());
});

test('values go where the sentence wants them, whatever the language', () => {
	assert.equal(fill('{1} of {0}, {2}', 'a', 1), '1 of a, {2}');
	translateWith((sentence, ...values) => fill(sentence === '{0} results' ? '{0} Treffer' : sentence, ...values));
	assert.equal(t('{0} results', 3), '3 Treffer');
	translateWith(fill);
});

test('every command of the manifest is registered, and every key is bound to one', () => {
	const { contributes } = JSON.parse(manifest) as {
		contributes: { commands: { command: string }[]; keybindings: { command: string; when: string }[] };
	};
	const source = read('src/commands.ts');
	for (const { command } of contributes.commands) {
		const name = command.replace('inkling.client.', '');
		assert.match(source, new RegExp(`^\\t\\t${name}(:|,)`, 'm'), `${command} is not registered`);
	}
	for (const { command, when } of contributes.keybindings) {
		assert.match(when, /inlineSuggestionVisible && inkling\.offering/, `${command} would take a key from others`);
	}
});

test('no text of the manifest that people read is outside the list for translators', () => {
	const read = [...manifest.matchAll(/"(?:title|patternErrorMessage|markdownDescription|description)": "([^"]+)"/g)];
	assert.deepEqual(read.map(([, text]) => text).filter((text) => !/^(%.+%|Inkling)$/.test(text ?? '')), []);
});

test('a folder cannot choose what concerns all of them', () => {
	const { contributes } = JSON.parse(manifest) as {
		contributes: { configuration: { properties: Record<string, { scope?: string }> }[] };
	};
	const settings = contributes.configuration.flatMap(({ properties }) => Object.entries(properties));
	const shared = settings.filter(([name]) => /^inkling\.(feedback|night|cache)\./.test(name));
	assert.ok(shared.length > 10);
	assert.deepEqual(shared.filter(([, { scope }]) => scope !== 'machine'), []);
});

test('no telemetry is declared, because none is sent', () => {
	assert.deepEqual(JSON.parse(read('telemetry.json')), { events: {}, commonProperties: {} });
});

/** Whether a `when` of names, `!` and `&&` holds where exactly these names are true. */
function holds(when: string, names: readonly string[]): boolean {
	return when.split('&&').every((part) => {
		const term = part.trim();
		return term.startsWith('!') ? !names.includes(term.slice(1)) : names.includes(term);
	});
}

test('keys that others need more are left to them', () => {
	const { contributes } = JSON.parse(manifest) as {
		contributes: { keybindings: { command: string; when: string }[] };
	};
	const ours = (...more: string[]) =>
		contributes.keybindings
			.filter(({ when }) => holds(when, ['editorTextFocus', 'inlineSuggestionVisible', 'inkling.offering', ...more]))
			.map(({ command }) => command.replace('inkling.client.', ''));
	const all = ['acceptWord', 'acceptLine', 'dismiss', 'next', 'previous'];
	assert.deepEqual(ours(), all);
	const withoutDismiss = all.filter((name) => name !== 'dismiss');
	assert.deepEqual(ours('vim.active'), withoutDismiss);
	assert.deepEqual(ours('neovim.init'), withoutDismiss);
	const both = ['acceptWord', 'acceptLine', 'runCommands', 'next', 'previous']; // sends it away and leaves the insert mode
	assert.deepEqual(ours('vim.active', "vim.mode == 'Insert'"), both);
	assert.deepEqual(ours('neovim.init', 'neovim.mode == insert'), both);
	assert.deepEqual(ours('suggestWidgetVisible'), withoutDismiss);
	assert.deepEqual(ours('editorHasSelection'), withoutDismiss);
	assert.deepEqual(ours('accessibilityModeEnabled'), all.filter((name) => name !== 'acceptWord'));
	assert.deepEqual(ours('editorReadonly'), ['dismiss']);
	assert.deepEqual(ours('inSnippetMode', 'hasNextTabstop'), [...withoutDismiss, 'jumpToNextSnippetPlaceholder']);
	assert.deepEqual(ours('inSnippetMode', 'hasNextTabstop', 'suggestWidgetVisible'), withoutDismiss);
});
