/**
 * Sentences for the user, in the user's language: `t('{0} files', 3)`.
 *
 * Pure, so that the parts that know nothing of the editor can speak too: the editor's translator is put in when the
 * extension is activated, and without one the sentences stay English. Every sentence is the key of its translations
 * (`l10n/bundle.l10n.json` lists them; a test keeps the list whole).
 */

export type Values = readonly (string | number)[];
export type Translate = (sentence: string, ...values: Values) => string;

let translate: Translate = fill;

/** The sentence in the user's language, with `{0}`, `{1}` ... filled in. */
export function t(sentence: string, ...values: Values): string {
	return translate(sentence, ...values);
}

/** From now on sentences go through this translator. */
export function translateWith(translator: Translate): void {
	translate = translator;
}

/** The sentence as it is, with its values. */
export function fill(sentence: string, ...values: Values): string {
	return sentence.replace(/\{(\d+)\}/g, (place, number: string) => String(values[Number(number)] ?? place));
}
