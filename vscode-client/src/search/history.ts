/** The questions that were asked, newest first, each once. Pure. */

const MOST = 30;

export function remember(history: readonly string[], query: string): string[] {
	const asked = query.trim();
	return asked === '' ? [...history] : [asked, ...history.filter((one) => one !== asked)].slice(0, MOST);
}
