/**
 * The language client for one server: how it is started, what it is told first, and what happens when it ends.
 */

import { randomUUID } from 'node:crypto';
import { homedir } from 'node:os';
import * as vscode from 'vscode';
import {
	CloseAction,
	type ErrorHandler,
	LanguageClient,
	type LanguageClientOptions,
	type Middleware,
	ProgressType,
	State,
} from 'vscode-languageclient/node';
import { serveChat } from '../chat/serve';
import { environment } from './run';
import type { Launch } from './server';

/** Hooks into ghost text. */
export type Watching = Pick<Middleware, 'provideInlineCompletionItems'>;

/** What the client tells its owner. */
export interface Owner {
	readonly entered: (state: 'starting' | 'running') => void;
	/** True while this client is the one that is wanted. */
	readonly mayRestart: () => boolean;
	/** The server ended by itself after it had worked; resolves to true when it is time for a new one. */
	readonly crashed: () => Promise<boolean>;
}

export function makeClient(
	launch: Launch,
	settings: () => object,
	output: vscode.LogOutputChannel,
	watching: Watching,
	owner: Owner,
): LanguageClient {
	const options: LanguageClientOptions = {
		documentSelector: [{ scheme: 'file' }, { scheme: 'untitled' }],
		outputChannel: output,
		// A function: after a crash the client starts the server again, and what counts then is what is set then.
		initializationOptions: () => ({
			...settings(),
			trusted: vscode.workspace.isTrusted,
			telemetry: vscode.env.isTelemetryEnabled,
		}),
		initializationFailedHandler: () => false, // the session says it
		diagnosticPullOptions: { onChange: true, onSave: true },
		errorHandler: errorHandler(() => client, owner),
		middleware: watching,
	};
	const client: LanguageClient = new LanguageClient(
		'inkling',
		'Inkling',
		{
			// No `transport`: that is standard input and output without an argument `--stdio`.
			command: launch.command,
			args: [...launch.args, 'serve'],
			options: { cwd: homedir(), env: environment() },
		},
		options,
	);
	serveChat(client);
	client.onDidChangeState(({ newState }) => {
		if (newState !== State.Stopped && newState !== State.StartFailed) {
			owner.entered(newState === State.Running ? 'running' : 'starting');
		}
	});
	return client;
}

/** Hear the parts of an answer; `partialResultToken` goes with the request. */
export function listen<T>(client: LanguageClient, part: (early: T) => void) {
	const partialResultToken = randomUUID();
	return { partialResultToken, held: client.onProgress(new ProgressType<T>(), partialResultToken, part) };
}

/** A server that worked is restarted a few times; one that never worked, or is being ended, is left alone. */
function errorHandler(client: () => LanguageClient, owner: Owner): ErrorHandler {
	let worked = false;
	let usual: ErrorHandler | undefined;
	return {
		error: (error, message, count) => {
			usual ??= client().createDefaultErrorHandler();
			return usual.error(error, message, count);
		},
		closed: async () => {
			worked ||= client().isRunning();
			const again = worked && owner.mayRestart() && (await owner.crashed());
			return { action: again ? CloseAction.Restart : CloseAction.DoNotRestart, handled: true };
		},
	};
}
