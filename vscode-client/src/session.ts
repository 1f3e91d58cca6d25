/**
 * One running server at a time: started, told about settings, restarted, stopped.
 *
 * What is wanted is only ever "a fresh one": restarts wait for each other, and one that already waits serves every
 * further wish. A server that cannot start is a state with a sentence, never an exception.
 */

import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import * as vscode from 'vscode';
import {
	CloseAction,
	type ErrorHandler,
	ExecuteCommandRequest,
	LanguageClient,
	State,
} from 'vscode-languageclient/node';
import { isMissing, type Launch, type Missing, resolveServer } from './server';
import { type Chosen, chosen, nested, whatChanged } from './settings';

const START_SECONDS = 60;
/** Facts that are still to be written and the indexing process take the server a moment. */
const STOP_MILLISECONDS = 4000;
/** Variables that change what a Python program imports or runs. */
const DROPPED = ['PYTHONPATH', 'PYTHONHOME', 'PYTHONSTARTUP'];

export type SessionState =
	| { readonly kind: 'starting' | 'running' | 'stopped' }
	| { readonly kind: 'failed'; readonly problem: string; readonly missing?: Missing };

export class Session {
	private client: LanguageClient | undefined;
	private sent: Chosen = new Map();
	private current: Promise<void> = Promise.resolve();
	private waiting: Promise<void> | undefined;
	private readonly changed = new vscode.EventEmitter<SessionState>();
	readonly onChange = this.changed.event;

	/** `declared`: the names of all settings of the extension, without `inkling.`. */
	constructor(
		private readonly output: vscode.LogOutputChannel,
		private readonly declared: readonly string[],
	) {}

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

	/** End the server for good. */
	async stop(): Promise<void> {
		this.current = this.current.then(() => this.end());
		await this.current;
		this.changed.dispose();
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
	async request<T>(method: string, params: object = {}): Promise<T> {
		return this.running().sendRequest<T>(method, params);
	}

	/** Run one of the server's commands. Rejects if it is not running. */
	async execute<T>(command: string, ...args: unknown[]): Promise<T> {
		return (await this.running().sendRequest(ExecuteCommandRequest.type, { command, arguments: args })) as T;
	}

	/** The URI as the server knows the document. */
	uriOf(document: vscode.TextDocument): string {
		return this.running().code2ProtocolConverter.asUri(document.uri);
	}

	private running(): LanguageClient {
		if (!this.client?.isRunning()) {
			throw new Error('The Inkling server is not running.');
		}
		return this.client;
	}

	private async begin(): Promise<void> {
		const launch = resolveServer(surroundings());
		if (isMissing(launch)) {
			this.output.error(launch.problem);
			this.changed.fire({ kind: 'failed', problem: launch.problem, missing: launch });
			return;
		}
		this.changed.fire({ kind: 'starting' });
		this.output.info(`Starting ${[launch.command, ...launch.args].join(' ')}`);
		const client = this.make(launch);
		this.client = client;
		try {
			await within(START_SECONDS, client.start());
		} catch (error) {
			this.output.error(`The server did not start: ${error instanceof Error ? error.message : String(error)}`);
			await this.end();
			const problem = `Inkling's server (${launch.command}) did not start; the output says why.`;
			this.changed.fire({ kind: 'failed', problem });
		}
	}

	private async end(): Promise<void> {
		const client = this.client;
		this.client = undefined;
		if (client !== undefined) {
			this.changed.fire({ kind: 'stopped' });
			// A server that never came up, or is gone already, cannot be stopped in good order; its process is ended.
			await client.dispose(STOP_MILLISECONDS).catch((error: unknown) => this.output.debug(String(error)));
		}
	}

	private make(launch: Launch): LanguageClient {
		this.sent = this.settings();
		const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !DROPPED.includes(name)));
		const client: LanguageClient = new LanguageClient(
			'inkling',
			'Inkling',
			{
				// No `transport`: that is standard input and output without an argument `--stdio`.
				command: launch.command,
				args: [...launch.args],
				options: { cwd: homedir(), env: environment },
			},
			{
				documentSelector: [{ scheme: 'file' }, { scheme: 'untitled' }],
				outputChannel: this.output,
				initializationOptions: { ...nested(this.sent), trusted: vscode.workspace.isTrusted },
				initializationFailedHandler: () => false, // `begin` says it
				diagnosticPullOptions: { onChange: true, onSave: true },
				errorHandler: this.errorHandler(() => client),
			},
		);
		client.onDidChangeState(({ newState }) => {
			if (this.client === client && newState === State.Starting) {
				this.changed.fire({ kind: 'starting' });
			} else if (this.client === client && newState === State.Running) {
				this.changed.fire({ kind: 'running' });
			}
		});
		return client;
	}

	/** A server that worked is restarted a few times; one that never worked, or is being ended, is left alone. */
	private errorHandler(owner: () => LanguageClient): ErrorHandler {
		let worked = false;
		let usual: ErrorHandler | undefined;
		return {
			error: (error, message, count) => {
				usual ??= owner().createDefaultErrorHandler();
				return usual.error(error, message, count);
			},
			closed: async () => {
				worked ||= owner().isRunning();
				if (this.client !== owner() || !worked) {
					return { action: CloseAction.DoNotRestart, handled: true };
				}
				usual ??= owner().createDefaultErrorHandler();
				const answer = await usual.closed();
				if (answer.action === CloseAction.DoNotRestart) {
					const problem = "Inkling's server ended several times in a short while; the output says why.";
					this.changed.fire({ kind: 'failed', problem });
				}
				return { ...answer, handled: true };
			},
		};
	}

	private settings(): Chosen {
		const configuration = vscode.workspace.getConfiguration('inkling');
		return chosen(this.declared, (name) => {
			const found = configuration.inspect(name);
			return {
				value: configuration.get(name),
				chosenAt: [found?.globalValue, found?.workspaceValue, found?.workspaceFolderValue],
			};
		});
	}
}

function surroundings() {
	const configuration = vscode.workspace.getConfiguration('inkling');
	return {
		path: configuration.get('path', ''),
		interpreter: configuration.get('interpreter', ''),
		searchPath: process.env.PATH ?? '',
		home: homedir(),
		workspaceFolder: vscode.workspace.workspaceFolders?.[0]?.uri.fsPath,
		windows: process.platform === 'win32',
		isProgram,
	};
}

function isProgram(file: string): boolean {
	try {
		accessSync(file, constants.X_OK);
		return statSync(file).isFile();
	} catch {
		return false;
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
