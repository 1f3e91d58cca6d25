/**
 * The server's answer to `inkling/status`, and how it is put in plain words.
 *
 * Pure. A word of the server that is not known here is shown as it came, so that a newer server can say more.
 */

export interface ModelStatus {
	readonly state: 'off' | 'idle' | 'loading' | 'ready' | 'failed';
	readonly base: string;
	readonly adapter: string | null;
	readonly runtime?: string;
	readonly error?: string;
}

export interface IndexStatus {
	readonly phase: string;
	readonly done?: number;
	readonly total?: number;
	readonly seconds_left?: number | null;
	readonly ready?: string;
	readonly files?: number;
	readonly error?: string;
}

export interface Status {
	readonly trusted: boolean;
	readonly model: ModelStatus;
	readonly workspaces: readonly { readonly root: string; readonly index: IndexStatus; readonly consent: string }[];
	readonly lastRefusal: { readonly reason: string; readonly detail: string; readonly at: number } | null;
	readonly told: readonly string[];
}

/** One row: what it is about (with an icon), and what is up with it. */
export interface Line {
	readonly label: string;
	readonly detail: string;
}

/** Everything the status says; `now` is in milliseconds. */
export function describe(status: Status, now: number): Line[] {
	const lines: Line[] = [
		{ label: '$(chip) Model', detail: modelInWords(status.model) },
		{
			label: '$(layers) Adapter',
			detail: status.model.adapter ?? 'none: no night has found a better one yet',
		},
	];
	if (status.workspaces.length === 0) {
		lines.push({ label: '$(folder) Folder', detail: 'none is open, so there is nothing to index or record' });
	}
	for (const folder of status.workspaces) {
		const name = status.workspaces.length > 1 ? ` of ${nameOf(folder.root)}` : '';
		lines.push(
			{ label: `$(search) Index${name}`, detail: indexInWords(folder.index) },
			{ label: `$(record) Recorded${name}`, detail: consentInWords(folder.consent) },
		);
	}
	if (!status.trusted) {
		lines.push({
			label: '$(shield) Not trusted',
			detail: 'linters that run programs of this workspace stay off until you trust it',
		});
	}
	if (status.lastRefusal !== null) {
		lines.push({
			label: '$(comment-unresolved) Nothing was offered',
			detail: `${ago(now / 1000 - status.lastRefusal.at)}: ${status.lastRefusal.detail || status.lastRefusal.reason}`,
		});
	}
	return [...lines, ...status.told.map((problem) => ({ label: '$(warning) Problem', detail: problem }))];
}

/** True while it is worth asking again soon. */
export function isWarmingUp(model: ModelStatus): boolean {
	return model.state === 'idle' || model.state === 'loading';
}

export function modelInWords(model: ModelStatus): string {
	switch (model.state) {
		case 'ready':
			return `${model.base} is ready${model.runtime ? ` (${model.runtime})` : ''}`;
		case 'idle':
		case 'loading':
			return `${model.base} is being loaded`;
		case 'off':
			return `there is none: run \`inkling models pull ${model.base}\` in a terminal, then restart the server`;
		case 'failed':
			return `${model.base} could not be loaded: ${model.error ?? 'the log says why'}`;
		default:
			return String(model.state);
	}
}

export function indexInWords(index: IndexStatus): string {
	if (index.error) {
		return index.error;
	}
	const total = index.total ? ` ${index.done ?? 0} of ${index.total}` : '';
	const left = typeof index.seconds_left === 'number' ? `, about ${Math.ceil(index.seconds_left)} s left` : '';
	switch (index.phase) {
		case 'off':
			return 'switched off (inkling.index.enabled)';
		case 'starting':
			return 'is being started';
		case 'walk':
			return `looking for files${total}${left}`;
		case 'chunk':
			return `reading files${total}${left}`;
		case 'embed':
			return `learning what they mean${total}${left}`;
		case 'waiting':
			return 'another window is building it';
		case 'ready': {
			const files = index.files === undefined ? '' : `, ${index.files} ${index.files === 1 ? 'file' : 'files'}`;
			return index.ready === 'words' ? `ready for search by words${files}` : `ready${files}`;
		}
		default:
			return `${index.phase}${total}${left}`;
	}
}

export function consentInWords(consent: string): string {
	switch (consent) {
		case 'off':
			return 'nothing';
		case 'local':
			return 'suggestions and what became of them, on this machine only';
		case 'team':
			return "suggestions and what became of them, also for the team's service";
		default:
			return consent;
	}
}

function ago(seconds: number): string {
	if (seconds < 60) {
		return 'just now';
	}
	const minutes = Math.round(seconds / 60);
	return minutes < 60 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

function nameOf(root: string): string {
	return root.split(/[\\/]/).filter(Boolean).at(-1) ?? root;
}
