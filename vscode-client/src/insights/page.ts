/**
 * The page that `inkling insights` writes, under the editor's theme.
 *
 * Pure. The page has no scripts and loads nothing; here it is also forbidden to.
 */

const POLICY = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:;">`;

/** Wins over the page's own colours, which follow the system. */
const THEME = `<style>
:root { --mark: var(--vscode-charts-blue) !important; --faint: var(--vscode-widget-border, #8888) !important; }
body { color: var(--vscode-foreground) !important; background: var(--vscode-editor-background) !important;
	font-family: var(--vscode-font-family) !important; }
</style>`;

export function underTheme(page: string): string {
	return page.includes('<head>')
		? page.replace('<head>', `<head>${POLICY}`).replace('</head>', `${THEME}</head>`)
		: `<!DOCTYPE html><html><head>${POLICY}</head><body>${page}${THEME}</body></html>`;
}
