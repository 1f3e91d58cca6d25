/**
 * The page that asks what may be written down, in plain words: what, where, for how long, and who gets it.
 *
 * Pure. Nothing is chosen for the user: where nothing was chosen, "nothing" stands, because that is what happens.
 */

import { t } from '../l10n';
import { escape, page } from '../views/page';

/** How far the editor's telemetry switch lets one go. */
export type Bound = 'everything' | 'local' | 'nothing';

export interface Folder {
	readonly root: string;
	readonly consent: string;
}

export interface Places {
	readonly feedback: string;
	readonly index: string;
	readonly encoded: string;
	readonly logs: string;
}

export interface Asked {
	readonly folders: readonly Folder[];
	readonly bound: Bound;
	readonly places: Places;
	/** For how many days texts are kept. */
	readonly days: number;
	readonly language: string;
}

/** What the page says back. */
export type Answer =
	| { readonly do: 'choose'; readonly folder: string; readonly value: string }
	| { readonly do: 'see' | 'export' | 'erase' | 'allow' };

export function consentPage(asked: Asked): string {
	const title = t('What may Inkling write down?');
	const intro = t(
		'Inkling can learn from what you keep of its suggestions and what you throw away. For that it has to write things down. Nothing is written down until you choose so here, for each folder by itself, and you can change your mind at any time.',
	);
	const body = `<main><h1>${escape(title)}</h1><p>${escape(intro)}</p>
${telemetryNote(asked.bound)}
${asked.folders.map((folder, number) => choices(folder, number, asked.bound)).join('\n')}
<p id="said" role="status" aria-live="polite"></p>
<h2>${escape(t('What exactly, and where'))}</h2>${table(asked)}
<h2>${escape(t('What was written down so far'))}</h2>
<p>${[
		['see', t('See it')],
		['export', t('Export it')],
		['erase', t('Erase it')],
	]
		.map(([action, label]) => `<button class="quiet" data-do="${action}">${escape(label ?? '')}</button>`)
		.join(' ')}</p></main>`;
	return page({ title, body, style: STYLE, script: SCRIPT, language: asked.language });
}

function telemetryNote(bound: Bound): string {
	if (bound === 'everything') {
		return '';
	}
	const note =
		bound === 'nothing'
			? t("The editor's telemetry is switched off, so nothing is written down, whatever is chosen below.")
			: t("The editor's telemetry is switched off, so nothing that is written down now ever leaves this machine.");
	const allow =
		bound === 'nothing'
			? `<p><button class="quiet" data-do="allow">${escape(t('Allow what stays on this machine all the same'))}</button></p>`
			: '';
	return `<div class="note" role="note"><p>${escape(note)}</p>${allow}</div>`;
}

function choices({ root, consent }: Folder, number: number, bound: Bound): string {
	const rows: [string, string, string, boolean][] = [
		['off', t('Nothing'), t('Suggestions are shown and forgotten. Nothing is learned.'), true],
		[
			'local',
			t('On this machine'),
			t('Suggestions and what became of them, in a file on this machine. Nothing leaves it.'),
			bound !== 'nothing',
		],
		[
			'team',
			t('With my team'),
			t('The same, and it may be sent to the service that your team runs, once one is set up. Without one, nothing is sent.'),
			bound === 'everything',
		],
	];
	const inputs = rows.map(([value, name, what, possible]) => {
		const id = `choice-${number}-${value}`;
		const marks = `${consent === value ? ' checked' : ''}${possible ? '' : ' disabled'}`;
		return `<div class="choice"><input type="radio" id="${id}" name="folder-${number}" value="${value}" data-folder="${escape(root)}"${marks}>
<label for="${id}"><b>${escape(name)}</b><br><span>${escape(what)}</span></label></div>`;
	});
	return `<fieldset><legend><code>${escape(root)}</code></legend>${inputs.join('')}</fieldset>`;
}

function table({ places, days }: Asked): string {
	const rows: [what: string, place: string, note: string][] = [
		[
			t('A suggestion: its text, the lines around the cursor (up to 4,000 characters before and 1,000 behind it), and the pieces of other files that it was made from.'),
			places.feedback,
			t('only where you allowed it; texts for {0} days', days),
		],
		[
			t('What became of it: taken, changed, sent away, and what stands there a while later.'),
			'',
			t('in the same file, until you erase it'),
		],
		[
			t('Never: files that look like secrets (.env, keys, certificates). Passwords and tokens elsewhere are taken out before a text is stored.'),
			'',
			t('nowhere'),
		],
		[
			t('Where you allowed it as well: questions to the search, what the agent was asked to change, which tools it called; and every edit around suggestions, if you switched inkling.feedback.trace on.'),
			'',
			t('beside it, in the same file and folder'),
		],
		[
			t('The index for the search: your files in pieces, with their names and numbers that stand for their meaning. It is needed for the search, whatever you choose, and can be made again at any time.'),
			places.index,
			t('without files that look like secrets; inkling.index.enabled switches it off'),
		],
		[
			t('Files as the model has read them, so that it need not read them again: whatever you choose, and made again at any time.'),
			places.encoded,
			t('without files that look like secrets; inkling.cache.diskMegabytes set to 0 switches it off'),
		],
		[t('Logs: what the server did, and its faults.'), places.logs, ''],
	];
	const head = `<tr><th>${escape(t('What'))}</th><th>${escape(t('Where'))}</th></tr>`;
	const lines = rows.map(([what, place, note]) => {
		const where = [place && `<code>${escape(place)}</code>`, escape(note)].filter(Boolean).join('<br>');
		return `<tr><td>${escape(what)}</td><td>${where}</td></tr>`;
	});
	return `<table><thead>${head}</thead><tbody>${lines.join('')}</tbody></table>`;
}

const STYLE = `
main { max-width: 46rem; margin: 1.5rem auto; padding: 0 1rem; }
fieldset { border: 1px solid var(--vscode-widget-border, var(--vscode-contrastBorder, #8884)); border-radius: 4px; margin: 1rem 0; }
.choice { display: flex; gap: .6rem; padding: .3rem 0; align-items: baseline; }
.choice span { color: var(--vscode-descriptionForeground); }
.choice input:disabled + label { opacity: .6; }
.note { border-left: 3px solid var(--vscode-textBlockQuote-border); background: var(--vscode-textBlockQuote-background); padding: .1rem 1rem; }
table { border-collapse: collapse; width: 100%; }
td:first-child { width: 60%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--vscode-widget-border, #8884); }
#said { min-height: 1.5em; font-weight: 600; }
`;

const SCRIPT = `
const editor = acquireVsCodeApi();
for (const button of document.querySelectorAll('button[data-do]')) {
	button.addEventListener('click', () => editor.postMessage({ do: button.dataset.do }));
}
for (const input of document.querySelectorAll('input[type=radio]')) {
	input.addEventListener('change', () =>
		editor.postMessage({ do: 'choose', folder: input.dataset.folder, value: input.value }));
}
window.addEventListener('message', ({ data }) => { document.getElementById('said').textContent = data.said; });
`;
