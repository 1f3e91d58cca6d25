/**
 * How long to wait after a crash of the server, and when to stop trying.
 *
 * Pure. One crash after hours of work costs a second; a server that dies in a loop is given up after five.
 */

const FIRST_WAIT_MILLISECONDS = 1000;
const MOST = 5;
/** Crashes that lie further back do not count. */
const WINDOW_MILLISECONDS = 180_000;

export class Crashes {
	private times: number[] = [];

	/** It crashed at `now` (milliseconds): how long to wait before the next start; undefined: do not start again. */
	next(now: number): number | undefined {
		this.times = [...this.times.filter((time) => now - time < WINDOW_MILLISECONDS), now];
		const count = this.times.length;
		return count > MOST ? undefined : FIRST_WAIT_MILLISECONDS * 2 ** (count - 1);
	}
}
