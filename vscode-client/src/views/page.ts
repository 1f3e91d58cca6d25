/**
 * The frame of every page that the extension shows: what may run in it, and how it looks under the editor's theme.
 *
 * Pure. Nothing is fetched from anywhere: scripts and styles carry the page's own nonce or come from the extension,
 * and everything that a page shows goes through `escape`.
 */

import { randomBytes } from 'node:crypto';

export interface Page {
	readonly title: string;
	readonly body: string;
	readonly style?: string;
	/** JavaScript that stands in the page itself. */
	readonly script?: string;
	/** Addresses of scripts of the extension. */
	readonly scripts?: readonly string[];
	/** Where the extension's own files come from, as the editor calls it; needed for `scripts`. */
	readonly source?: string;
	readonly language?: string;
}

export function page({ title, body, style = '', script, scripts = [], source = '', language = 'en' }: Page): string {
	const nonce = randomBytes(18).toString('base64');
	const policy = `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}' ${source}; img-src data: ${source};`;
	const inline = script === undefined ? '' : `<script nonce="${nonce}">${script}</script>`;
	const files = scripts.map((address) => `<script nonce="${nonce}" src="${escape(address)}"></script>`).join('');
	return `<!DOCTYPE html>
<html lang="${escape(language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style nonce="${nonce}">${LOOK}${style}</style>
</head>
<body>${body}${inline}${files}</body>
</html>`;
}

export function escape(text: string): string {
	const marks: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
	return text.replace(/[&<>"']/g, (mark) => marks[mark] ?? mark);
}

const LOOK = `
body { color: var(--vscode-foreground); font: var(--vscode-font-size)/1.5 var(--vscode-font-family); }
a { color: var(--vscode-textLink-foreground); }
code { font-family: var(--vscode-editor-font-family); overflow-wrap: anywhere; }
button { color: var(--vscode-button-foreground); background: var(--vscode-button-background); border: 1px solid transparent;
	border-radius: 3px; padding: 5px 12px; font: inherit; cursor: pointer; }
button:hover { background: var(--vscode-button-hoverBackground); }
button.quiet { color: var(--vscode-button-secondaryForeground); background: var(--vscode-button-secondaryBackground); }
:focus-visible { outline: 1px solid var(--vscode-focusBorder); outline-offset: 1px; }
input, select { color: var(--vscode-input-foreground); background: var(--vscode-input-background); font: inherit;
	border: 1px solid var(--vscode-input-border, transparent); border-radius: 2px; padding: 3px 6px; box-sizing: border-box; }
input[type=radio] { accent-color: var(--vscode-button-background); }
select { color: var(--vscode-dropdown-foreground); background: var(--vscode-dropdown-background); }
`;
