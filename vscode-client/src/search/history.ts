/** The questions that were asked, newest first, each once, and none that was only the beginning of the next. Pure. */

const MOST = 30;

export function remember(history: readonly string[], query: string): string[] {
	const asked = query.trim();
	if (asked === '') {
		return [...history];
	}
	const [last = '', ...older] = history;
	const before = asked.startsWith(last) ? older : history; // it is asked at every pause in typing
	return [asked, ...before.filter((one) => one !== asked)].slice(0, MOST);
}
