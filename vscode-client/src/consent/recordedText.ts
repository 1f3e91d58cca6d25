/**
 * What was recorded, as a text for people. Pure.
 */

import { t } from '../l10n';

/** One line of `inkling feedback list --json`; more stands in it. */
export interface Entry {
	readonly id: string;
	readonly at: number;
	readonly path: string;
	readonly line: number;
	readonly text: string | null;
	readonly outcome: { readonly kind: string; readonly length?: number } | null;
	/** What the gate decided. */
	readonly decision?: { readonly shown: boolean } | null;
	readonly redacted?: boolean;
}

/** A Markdown document, newest first. */
export function recordedText(root: string | undefined, entries: readonly Entry[], most: number): string {
	const title = `# ${root === undefined ? t('Everything that was recorded') : t('What was recorded in {0}', root)}`;
	if (entries.length === 0) {
		return `${title}\n\n${t('Nothing.')}\n`;
	}
	const count =
		entries.length < most
			? t('{0} suggestions, newest first.', entries.length)
			: t('The newest {0} suggestions. The export has all of them.', entries.length);
	return `${title}\n\n${count}\n\n${entries.map(section).join('\n')}`;
}

function section({ id, at, path, line, text, outcome, decision, redacted }: Entry): string {
	const when = new Date(at * 1000).toISOString().replace('T', ' ').slice(0, 16);
	const became = outcome?.kind ?? (decision?.shown === false ? t('made, but not shown') : t('not decided yet'));
	const note = redacted ? `, ${t('secrets taken out')}` : '';
	const longest = Math.max(2, ...[...(text ?? '').matchAll(/`+/g)].map(([marks]) => marks.length));
	const fence = '`'.repeat(longest + 1);
	const shown = text === null ? `_${t('The text was not kept.')}_` : `${fence}\n${text}\n${fence}`;
	return `## ${path}:${line + 1}: ${became}\n\n${when} UTC, ${id.slice(0, 12)}${note}\n\n${shown}\n`;
}
