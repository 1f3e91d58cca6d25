/** The page of the search view: a box, filters and an empty list; `webview/search.ts` brings it to life. Pure. */

import { t } from '../l10n';
import { escape, page } from '../views/page';

const KINDS = ['function', 'method', 'class', 'interface', 'type', 'variable', 'module', 'section', 'text'];

export function searchPage(script: string, source: string, language: string): string {
	const options = KINDS.map((kind) => `<option>${kind}</option>`).join('');
	const words = JSON.stringify({
		asking: t('Searching ...'),
		nothing: t('Nothing fits.'),
		one: t('1 result'),
		many: t('{0} results'),
		matched: { words: t('by words'), meaning: t('by meaning'), symbol: t('by name') },
	});
	const label = (text: string) => `aria-label="${escape(text)}" placeholder="${escape(text)}"`;
	const body = `<form id="form" role="search" data-words="${escape(words)}">
<input id="query" type="text" spellcheck="false" autocomplete="off" ${label(t('What does it do? What is it called?'))}
 aria-controls="rows" aria-describedby="hint">
<div id="filters">
<select id="kind" aria-label="${escape(t('Kind'))}"><option value="">${escape(t('any kind'))}</option>${options}</select>
<input id="language" type="text" spellcheck="false" ${label(t('language'))}>
<input id="path" type="text" spellcheck="false" ${label(t('files, such as src/**/*.py'))}>
</div></form>
<p id="said" role="status" aria-live="polite"></p>
<ul id="rows" role="listbox" aria-label="${escape(t('Results'))}"></ul>
<p id="hint">${escape(t('Enter asks and opens, the arrow keys go through results and earlier questions, Escape goes back.'))}</p>`;
	return page({ title: t('Search by Meaning'), body, style: STYLE, scripts: [script], source, language });
}

const STYLE = `
body { padding: 8px; }
#query { width: 100%; }
#filters { display: flex; flex-wrap: wrap; gap: 4px; margin-top: 4px; }
#filters > * { flex: 1 1 70px; min-width: 0; }
#said { margin: 6px 0; color: var(--vscode-descriptionForeground); }
#hint { font-size: .9em; color: var(--vscode-descriptionForeground); }
#rows { list-style: none; margin: 0 -8px; padding: 0; }
#rows li { padding: 4px 8px; cursor: pointer; border: 1px solid transparent; }
#rows li:hover { background: var(--vscode-list-hoverBackground); }
#rows li[aria-selected=true] { background: var(--vscode-list-inactiveSelectionBackground); }
#rows li[aria-selected=true]:focus { background: var(--vscode-list-activeSelectionBackground); color: var(--vscode-list-activeSelectionForeground); outline: none; border-color: var(--vscode-focusBorder); }
#rows b { font-weight: 600; overflow-wrap: anywhere; }
#rows small { display: block; opacity: .8; overflow-wrap: anywhere; }
#rows pre { margin: 2px 0 0; font: .9em/1.35 var(--vscode-editor-font-family); overflow: hidden; text-overflow: ellipsis; opacity: .9; }
`;
