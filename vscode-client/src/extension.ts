/**
 * The entry point: puts session, ghost text, status bar and commands together, and hears of trust and settings.
 *
 * Everything that could be the server's work is the server's work; this extension starts it and shows what it says.
 */

import * as vscode from 'vscode';
import { AgentActions } from './agent/actions';
import { AGENT_VIEW, AgentView } from './agent/view';
import { Bar } from './bar';
import { registerCommands, saying } from './commands';
import { ConsentPage } from './consent/consent';
import { RecordedDocuments } from './consent/recorded';
import { Ghost } from './ghost/ghost';
import { Snooze } from './ghost/snooze';
import { translateWith } from './l10n';
import { definitions, offerMcp } from './mcp';
import { NightsView } from './nights/view';
import { SearchView, VIEW } from './search/view';
import { onInterpreterChange } from './start/environment';
import { installServer } from './start/install';
import { cures, sayProblem } from './start/saying';
import { Session } from './start/session';

/** Where the program is kept that the private environment was installed in place of. */
const REPLACED = 'replacedServer';

let session: Session | undefined;

/** What tests inside the editor look at. */
export interface Inkling {
	readonly session: Session;
	readonly agent: AgentView;
	/** The MCP servers that the editor is offered. */
	readonly mcp: () => vscode.McpStdioServerDefinition[];
}

export function activate(context: vscode.ExtensionContext): Inkling {
	translateWith((sentence, ...values) => vscode.l10n.t(sentence, ...values));
	const output = vscode.window.createOutputChannel('Inkling', { log: true });
	const storage = context.globalStorageUri.fsPath;
	const manifest = context.extension.packageJSON as Manifest;
	const running = new Session(output, {
		version: manifest.version,
		storage,
		replaced: () => context.globalState.get<string>(REPLACED),
		settings: settingsOf(manifest),
	});
	session = running;
	const snooze = new Snooze(running, context.globalState);
	const bar = new Bar(running, snooze, 'inkling.client.status');
	const ghost = new Ghost(running, output);
	const careful = (run: () => unknown) => saying(output, run);
	const consent = new ConsentPage(running, context.globalState, careful);
	const search = new SearchView(running, context.extensionUri, context.workspaceState, careful);
	const agent = new AgentView(running, context.extensionUri, careful);
	const nights = new NightsView(running);
	const install = once(async () => {
		const replaced = await running.named();
		// A server that runs from there stands in the way; any other goes on until the new one is ready.
		const problem = await installServer(storage, output, async () => {
			if (running.launch?.origin === 'private') {
				await running.stop();
			}
		});
		if (problem === undefined) {
			await context.globalState.update(REPLACED, replaced ?? context.globalState.get(REPLACED));
			await running.restart();
		} else if (problem !== 'stopped') {
			await sayProblem(problem, true, buttons);
		} else if (running.state.kind === 'stopped') {
			await running.restart();
		}
	});
	const buttons = cures(() => careful(install), () => running.restart(), output);
	context.subscriptions.push(
		output,
		snooze,
		bar,
		ghost,
		consent,
		search,
		agent,
		nights,
		vscode.window.registerWebviewViewProvider(VIEW, search, { webviewOptions: { retainContextWhenHidden: true } }),
		vscode.window.registerWebviewViewProvider(AGENT_VIEW, agent, { webviewOptions: { retainContextWhenHidden: true } }),
		AgentActions.register(),
		...offerMcp(running, manifest.version),
		RecordedDocuments.register(running),
		...registerCommands({ session: running, ghost, snooze, consent, search, agent, nights, output, install }),
		running.onChange((state) => {
			if (state.kind === 'failed') {
				void sayProblem(state.problem, true, buttons);
			}
		}),
		running.onWarning((problem) => void sayProblem(problem, false, buttons)),
		onInterpreterChange(() => void running.relocate()),
		vscode.workspace.onDidGrantWorkspaceTrust(() => void running.restart()),
		vscode.env.onDidChangeTelemetryEnabled(() => void running.restart()),
		vscode.workspace.onDidChangeConfiguration((event) => {
			if (event.affectsConfiguration('inkling.path') || event.affectsConfiguration('inkling.interpreter')) {
				void running.restart();
			} else if (event.affectsConfiguration('inkling')) {
				running.configure();
			}
		}),
	);
	void running.restart(); // not waited for: the editor must not wait for a server
	return { session: running, agent, mcp: () => definitions(running, manifest.version) };
}

export async function deactivate(): Promise<void> {
	await session?.dispose();
}

interface Manifest {
	readonly version: string;
	readonly contributes: { readonly configuration: readonly { readonly properties: object }[] };
}

/** The same work, but a second call while it runs is the first one's. */
function once(work: () => Promise<void>): () => Promise<void> {
	let running: Promise<void> | undefined;
	return () => {
		running ??= work().finally(() => {
			running = undefined;
		});
		return running;
	};
}

/** The names of all settings, without `inkling.`. */
function settingsOf(manifest: Manifest): string[] {
	return manifest.contributes.configuration
		.flatMap((section) => Object.keys(section.properties))
		.map((name) => name.replace(/^inkling\./, ''));
}
