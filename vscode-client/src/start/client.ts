/**
 * The language client for one server: how it is started, what it is told first, and what happens when it ends.
 */

import { homedir } from 'node:os';
import * as vscode from 'vscode';
import {
	CloseAction,
	type ErrorHandler,
	LanguageClient,
	type LanguageClientOptions,
	type Middleware,
} from 'vscode-languageclient/node';
import { environment } from './run';
import type { Launch } from './server';

/** Hooks into ghost text. */
export type Watching = Pick<Middleware, 'provideInlineCompletionItems'>;

export interface Ending {
	/** True while this client is the one that is wanted. */
	readonly mayRestart: () => boolean;
	/** The server ended by itself after it had worked; resolves to true when it is time for a new one. */
	readonly crashed: () => Promise<boolean>;
}

export function makeClient(
	launch: Launch,
	settings: object,
	output: vscode.LogOutputChannel,
	watching: Watching,
	ending: Ending,
): LanguageClient {
	const options: LanguageClientOptions = {
		documentSelector: [{ scheme: 'file' }, { scheme: 'untitled' }],
		outputChannel: output,
		initializationOptions: {
			...settings,
			trusted: vscode.workspace.isTrusted,
			telemetry: vscode.env.isTelemetryEnabled,
		},
		initializationFailedHandler: () => false, // the session says it
		diagnosticPullOptions: { onChange: true, onSave: true },
		errorHandler: errorHandler(() => client, ending),
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
	return client;
}

/** A server that worked is restarted a few times; one that never worked, or is being ended, is left alone. */
function errorHandler(owner: () => LanguageClient, ending: Ending): ErrorHandler {
	let worked = false;
	let usual: ErrorHandler | undefined;
	return {
		error: (error, message, count) => {
			usual ??= owner().createDefaultErrorHandler();
			return usual.error(error, message, count);
		},
		closed: async () => {
			worked ||= owner().isRunning();
			const again = worked && ending.mayRestart() && (await ending.crashed());
			return { action: again ? CloseAction.Restart : CloseAction.DoNotRestart, handled: true };
		},
	};
}
