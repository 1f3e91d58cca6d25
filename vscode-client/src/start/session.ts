/**
 * One running server at a time: found, started, told about settings, restarted, stopped.
 *
 * What is wanted is only ever "a fresh one": restarts wait for each other, and one that already waits serves every
 * further wish. A server that cannot start is a state with a sentence, never an exception.
 */

import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';
import { t } from '../l10n';
import type { Watching } from './client';
import { Crashes } from './crashes';
import { type Kept, locateServer, nameServer } from './locate';
import { isProblem, type Problem } from './problem';
import type { Launch } from './server';
import { type Chosen, chosen, nested, whatChanged } from './settings';
import { mismatch } from './versions';

const START_SECONDS = 60;
/** Facts that are still to be written and the indexing process take the server a moment. */
const STOP_MILLISECONDS = 4000;

export type SessionState =
	| { readonly kind: 'starting' | 'running' | 'stopped' }
	| { readonly kind: 'waiting'; readonly seconds: number }
	| { readonly kind: 'failed'; readonly problem: Problem };

/** What a session has to know of the extension that it belongs to. */
export interface Extension extends Kept {
	readonly version: string;
	/** The names of all its settings, without `inkling.`. */
	readonly settings: readonly string[];
}

export class Session {
	private client: LanguageClient | undefined;
	private sent: Chosen = new Map();
	private current: Promise<void> = Promise.resolve();
	private waiting: Promise<void> | undefined;
	private launched: Launch | undefined;
	private now: SessionState = { kind: 'stopped' };
	private readonly changed = new vscode.EventEmitter<SessionState>();
	private readonly warned = new vscode.EventEmitter<Problem>();
	private readonly loops = new Crashes();
	readonly onChange = this.changed.event;
	/** Something is not as it should be, but the server works. */
	readonly onWarning = this.warned.event;
	/** Looks at ghost text before the editor does; set before the first start. */
	watching: Watching = {};

	constructor(
		private readonly output: vscode.LogOutputChannel,
		private readonly extension: Extension,
	) {}

	get state(): SessionState {
		return this.now;
	}

	/** The program that was found last, for its other subcommands. */
	get launch(): Launch | undefined {
		return this.launched;
	}

	/** End the server, if there is one, and start it as the settings now say. */
	restart(): Promise<void> {
		this.waiting ??= this.current.then(async () => {
			this.waiting = undefined;
			await this.end();
			await this.begin();
		});
		this.current = this.waiting;
		return this.waiting;
	}

	/** Another environment became active: restart if that means another server. */
	async relocate(): Promise<void> {
		const found = await locateServer(this.extension);
		if (!isProblem(found) && found.command !== this.launched?.command) {
			await this.restart();
		}
	}

	/** The program that an installation would take the place of; undefined if there is none. */
	async named(): Promise<string | undefined> {
		const found = await nameServer(this.extension);
		return isProblem(found) || found.origin === 'private' ? undefined : found.command;
	}

	/** End the server, until the next restart. */
	stop(): Promise<void> {
		this.current = this.current.then(() => this.end());
		return this.current;
	}

	/** End the server for good. */
	async dispose(): Promise<void> {
		await this.stop();
		this.changed.dispose();
		this.warned.dispose();
	}

	/** Take over changed settings: tell the server what it can take over, restart it for the rest. */
	configure(): void {
		const settings = this.settings();
		const change = whatChanged(this.sent, settings);
		if (change === 'restart') {
			void this.restart();
		} else if (change === 'live' && this.client?.isRunning()) {
			this.sent = settings;
			const values = { settings: { inkling: nested(settings) } };
			void this.client.sendNotification('workspace/didChangeConfiguration', values);
		}
	}

	/** Ask the server. Rejects if it is not running. */
	async request<T>(method: string, params: object = {}, token?: vscode.CancellationToken): Promise<T> {
		return this.running().sendRequest<T>(method, params, token);
	}

	/** Ask the server; what it knows early comes to `part`, in the shape of the answer, which takes its place. */
	async requestInParts<T>(
		method: string,
		params: object,
		part: (early: T) => void,
		token?: vscode.CancellationToken,
	): Promise<T> {
		const client = this.running();
		const { listen } = await import('./client');
		const { partialResultToken, held } = listen(client, part);
		try {
			return await client.sendRequest<T>(method, { ...params, partialResultToken }, token);
		} finally {
			held.dispose();
		}
	}

	/** Run one of the server's commands. Rejects if it is not running. */
	async execute<T>(command: string, ...args: unknown[]): Promise<T> {
		return (await this.running().sendRequest('workspace/executeCommand', { command, arguments: args })) as T;
	}

	/** The URI as the server knows the document. */
	uriOf(document: vscode.TextDocument): string {
		return this.running().code2ProtocolConverter.asUri(document.uri);
	}

	private running(): LanguageClient {
		if (!this.client?.isRunning()) {
			throw new Error(t('The Inkling server is not running.'));
		}
		return this.client;
	}

	private async begin(): Promise<void> {
		try {
			await this.start();
		} catch (error) {
			// Whatever it was, the next restart must find a session that can still be restarted.
			const problem = t('Inkling could not be started: {0}', error instanceof Error ? error.message : String(error));
			this.fail({ problem, mends: ['output', 'retry'] });
		}
	}

	private async start(): Promise<void> {
		this.enter({ kind: 'starting' });
		const launch = await locateServer(this.extension);
		if (isProblem(launch)) {
			this.launched = undefined;
			this.fail(launch);
			return;
		}
		this.launched = launch;
		this.output.info(`Starting ${[launch.command, ...launch.args, 'serve'].join(' ')} (${launch.origin})`);
		this.sent = this.settings();
		// Loaded only now, because it is most of the extension's code: the editor waits for an activation.
		const { makeClient } = await import('./client');
		const client: LanguageClient = makeClient(launch, () => this.send(), this.output, this.watching, {
			entered: (kind) => this.client === client && this.entered(kind),
			mayRestart: () => this.client === client,
			crashed: () => this.afterCrash(client),
		});
		this.client = client;
		try {
			await within(START_SECONDS, client.start());
		} catch (error) {
			this.output.error(`The server did not start: ${error instanceof Error ? error.message : String(error)}`);
			await this.end();
			const problem = t("Inkling's server ({0}) did not start; the output says why.", launch.command);
			this.fail({ problem, mends: ['output', 'retry', 'path'] });
			return;
		}
		this.checkVersion(client, launch);
	}

	/** What the server is told as it starts. */
	private send(): object {
		this.sent = this.settings();
		return nested(this.sent);
	}

	private entered(kind: 'starting' | 'running'): void {
		this.enter({ kind });
		if (kind === 'running') {
			this.configure(); // what was changed while it started
		}
	}

	private checkVersion(client: LanguageClient, { origin }: Launch): void {
		const wrong = mismatch(this.extension.version, client.initializeResult?.serverInfo?.version, origin);
		if (wrong !== undefined) {
			this.output.warn(wrong.problem);
			this.warned.fire(wrong);
		}
	}

	/** True if it is to be started again, after a while. */
	private async afterCrash(client: LanguageClient): Promise<boolean> {
		const wait = this.loops.next(Date.now());
		if (wait === undefined) {
			const problem = t("Inkling's server ended several times in a short while; the output says why.");
			this.fail({ problem, mends: ['output', 'retry', this.launched?.origin === 'path' ? 'path' : 'reinstall'] });
			return false;
		}
		this.output.warn(`The server ended by itself; it is started again in ${wait / 1000} s.`);
		this.enter({ kind: 'waiting', seconds: wait / 1000 });
		await new Promise((resolve) => setTimeout(resolve, wait));
		return this.client === client;
	}

	private fail(problem: Problem): void {
		this.output.error(problem.problem);
		this.enter({ kind: 'failed', problem });
	}

	private enter(state: SessionState): void {
		this.now = state;
		this.changed.fire(state);
	}

	private async end(): Promise<void> {
		const client = this.client;
		this.client = undefined;
		if (client !== undefined) {
			this.enter({ kind: 'stopped' });
			// A server that never came up, or is gone already, cannot be stopped in good order; its process is ended.
			await client.dispose(STOP_MILLISECONDS).catch((error: unknown) => this.output.debug(String(error)));
		}
	}

	private settings(): Chosen {
		const configuration = vscode.workspace.getConfiguration('inkling');
		return chosen(this.extension.settings, (name) => {
			const found = configuration.inspect(name);
			return {
				value: configuration.get(name),
				chosenAt: [found?.globalValue, found?.workspaceValue, found?.workspaceFolderValue],
			};
		});
	}
}

async function within(seconds: number, work: Promise<void>): Promise<void> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error(`no answer within ${seconds} s`)), seconds * 1000);
	});
	try {
		await Promise.race([work, late]);
	} finally {
		clearTimeout(timer);
	}
}
