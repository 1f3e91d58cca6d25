/**
 * Which ghost text stands where, and how much of it was taken: as far as stable API lets one know.
 *
 * Pure. The editor says when a suggestion was taken whole (it runs the suggestion's command); the rest is followed here
 * from the changes of the document, so that what our own keys do can be reported to the server under the right id and
 * with the right length. Guessing what the user did without our keys is the server's work, never done here.
 */

/** One suggestion as the server sent it: `text` goes in at `offset` of the document. */
export interface Offer {
	readonly id: string;
	readonly text: string;
}

/** One change of a document, as the editor tells it. */
export interface Change {
	readonly rangeOffset: number;
	readonly rangeLength: number;
	readonly text: string;
}

interface Standing {
	readonly document: string;
	readonly offers: readonly Offer[];
	/** How often the user went on to the next one; back counts below zero. */
	turns: number;
	offset: number;
	/** How much of the texts stands in the document by now, in UTF-16 units with single line breaks. */
	taken: number;
}

export class Tracker {
	private standing: Standing | undefined;
	/** The whole text of the suggestion that was offered last: asked again, the server sends only what is left of it. */
	private whole: Offer | undefined;

	/** The editor got these suggestions for this place; none end what stood there. */
	offered(document: string, offset: number, offers: readonly Offer[]): void {
		const first = offers[0];
		if (first === undefined) {
			this.standing = undefined;
			return;
		}
		const before = this.standing;
		const isSame = before?.document === document && before.offset === offset && before.offers[0]?.id === first.id;
		// Another one than the first may have been looked at when a piece of it was taken.
		const looked = before && lookedAt(before);
		const known = [this.whole, looked].find((one) => one?.id === first.id && one.text.endsWith(first.text));
		this.whole = known ?? first;
		// Asked for the next one, the editor asks the server for more first, and goes on when they are there.
		this.standing = { document, offers, turns: isSame ? before.turns : 0, offset, taken: 0 };
	}

	/** The suggestion that stands at the cursor; undefined if none of ours does. */
	at(document: string, offset: number): Offer | undefined {
		const standing = this.standing;
		if (standing === undefined || standing.document !== document || standing.offset !== offset) {
			return undefined;
		}
		return lookedAt(standing);
	}

	/** True while a suggestion of ours stands somewhere. */
	get isOffering(): boolean {
		return this.standing !== undefined;
	}

	/** The document changed: what is typed along with the suggestion shortens it, everything else ends it. */
	changed(document: string, changes: readonly Change[]): void {
		const standing = this.standing;
		if (standing === undefined || standing.document !== document || changes.length === 0) {
			return;
		}
		const here = changes.find((change) => change.rangeOffset === standing.offset && change.text !== '');
		const left = lookedAt(standing)?.text.slice(standing.taken) ?? '';
		const text = here?.text.replaceAll('\r\n', '\n') ?? '';
		if (here !== undefined && left.startsWith(text) && text.length < left.length) {
			standing.taken += text.length;
			standing.offset += here.text.length;
		} else {
			this.standing = undefined;
		}
	}

	/** The cursor went to another place. */
	moved(document: string, offset: number): void {
		if (this.standing !== undefined && this.at(document, offset) === undefined) {
			this.standing = undefined;
		}
	}

	/** The next one (1) or the one before (-1), round and round, as the editor does it. */
	cycle(step: 1 | -1): void {
		const standing = this.standing;
		if (standing !== undefined && standing.taken === 0) {
			standing.turns += step;
		}
	}

	/** Nothing stands any more: it was sent away. */
	end(): void {
		this.standing = undefined;
	}

	/** How many characters of the suggestion are in the document, counted as the server counts (code points). */
	lengthTaken(id: string): number | undefined {
		const standing = this.standing;
		const offer = standing && lookedAt(standing);
		if (standing === undefined || offer?.id !== id) {
			return undefined;
		}
		const whole = this.whole?.id === id ? this.whole.text : offer.text;
		return [...whole.slice(0, whole.length - offer.text.length + standing.taken)].length;
	}
}

function lookedAt({ offers, turns }: Standing): Offer | undefined {
	const count = offers.length;
	return offers[((turns % count) + count) % count];
}
