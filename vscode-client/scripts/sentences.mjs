/**
 * Lists every sentence of the sources, `t('...')`, for translators: `l10n/bundle.l10n.json`.
 *
 * A translation is a copy of that file, such as `bundle.l10n.de.json`, with other values.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const CALL = /\bt\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g;

/** The sentences below a folder, sorted. */
export function sentencesIn(folder) {
	const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.ts'));
	const found = files.flatMap((name) => {
		const code = readFileSync(join(folder, name), 'utf8');
		return [...code.matchAll(CALL)].map(([, single, double]) => (single ?? double ?? '').replace(/\\(.)/g, '$1'));
	});
	return [...new Set(found)].filter(Boolean).sort();
}

/** The file for them. */
export function bundle(sentences) {
	return `${JSON.stringify(Object.fromEntries(sentences.map((sentence) => [sentence, sentence])), null, 2)}\n`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
	writeFileSync('l10n/bundle.l10n.json', bundle(sentencesIn('src')));
}
