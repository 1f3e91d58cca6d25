/** The page of the agent view: what was said and done, and a box to ask; `webview/agent.ts` brings it to life. Pure. */

import { t } from '../l10n';
import { escape, page } from '../views/page';
import type { Words } from './run';

export function agentPage(script: string, source: string, language: string): string {
	const words: Words = {
		running: t('at work ...'),
		stopped: t('stopped'),
		unfinished: t('Stopped after {0} turns without an end; ask again to go on.'),
		stop: t('Stop'),
		review: t('Review {0}'),
		apply: t('Apply'),
		always: t('Always Apply'),
		alwaysMeans: t('Apply what this kind of request proposes without asking; the setting is inkling.applyWithoutReview'),
		deny: t('Turn Down'),
		undo: t('Undo'),
		cure: t('Open the Setting'),
		isNew: t('new file'),
		proposed: t('Proposed. Nothing is changed before you apply it.'),
		applied: t('Changed: {0}'),
		kinds: { ask: t('Question'), explain: t('Explain'), document: t('Document'), test: t('Write a test'), fix: t('Fix') },
	};
	const label = t('Ask about this project ...');
	const body = `<main id="runs" role="log" aria-live="polite" data-words="${escape(JSON.stringify(words))}"></main>
<p id="empty">${escape(t('Ask something, or put the cursor into code and choose Explain, Document or Write a Test from the code actions.'))}</p>
<form id="form"><textarea id="question" rows="2" aria-label="${escape(label)}" placeholder="${escape(label)}"></textarea>
<button type="submit">${escape(t('Ask'))}</button></form>`;
	return page({ title: t('Agent'), body, style: STYLE, scripts: [script], source, language });
}

const STYLE = `
html, body { height: 100%; }
body { display: flex; flex-direction: column; padding: 0 8px 8px; box-sizing: border-box; margin: 0; }
#runs, #empty { flex: 1; overflow-y: auto; min-height: 0; margin: 0; }
#runs:empty { display: none; }
#empty { color: var(--vscode-descriptionForeground); padding-top: 8px; }
#form { display: flex; gap: 4px; align-items: end; padding-top: 6px; }
textarea { flex: 1; resize: vertical; color: var(--vscode-input-foreground); background: var(--vscode-input-background);
	font: inherit; border: 1px solid var(--vscode-input-border, transparent); border-radius: 2px; padding: 4px 6px; }
article { border-bottom: 1px solid var(--vscode-widget-border, #8884); padding: 8px 0; }
article h2 { font-size: 1em; margin: 0 0 4px; overflow-wrap: anywhere; }
article h2 small { font-weight: normal; color: var(--vscode-descriptionForeground); }
.said { white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px 0; }
.said pre, details pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px 0; padding: 4px 6px;
	font-family: var(--vscode-editor-font-family); font-size: .92em; background: var(--vscode-textCodeBlock-background); max-height: 20em; overflow-y: auto; }
details { margin: 2px 0; } summary { cursor: pointer; color: var(--vscode-descriptionForeground); overflow-wrap: anywhere; }
.note { overflow-wrap: anywhere; } .unfinished-note { color: var(--vscode-editorWarning-foreground); } .refused .note, .failed .note { color: var(--vscode-errorForeground); }
.buttons { display: flex; flex-wrap: wrap; gap: 4px; margin-top: 6px; }
ul { margin: 4px 0; padding-left: 1.2em; } li button { padding: 1px 8px; }
`;
