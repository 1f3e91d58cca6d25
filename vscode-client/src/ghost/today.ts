/** How long today still lasts. Pure. */

/** Minutes until midnight where the user is, at least one. */
export function minutesLeftToday(now: Date): number {
	const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1);
	return Math.max(1, Math.ceil((midnight.getTime() - now.getTime()) / 60_000));
}
