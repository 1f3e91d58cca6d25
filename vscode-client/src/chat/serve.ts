/**
 * Serves `inkling/chat` with the editor's own models (`vscode.lm`): the server asks, the user's model answers.
 *
 * The editor asks the user for leave the first time. Nothing is asked of a model but what the server sends, and the
 * server sends nothing unless `inkling.agent.model` allows it.
 */

import * as vscode from 'vscode';
import { type LanguageClient, ProgressType, type StaticFeature } from 'vscode-languageclient/node';
import { t } from '../l10n';
import { type Answer, type Asked, type Call, type Message, noModel, pick, refusal } from './words';

/** Says to the server that it is served here. */
export const chatFeature: StaticFeature = {
	fillClientCapabilities(capabilities) {
		capabilities.experimental = { ...(capabilities.experimental as object | undefined), inklingChat: true };
	},
	initialize: () => {},
	getState: () => ({ kind: 'static' }),
	clear: () => {},
};

/** From now on the client answers. */
export function serveChat(client: LanguageClient): void {
	client.registerFeature(chatFeature);
	client.onRequest<Answer, void>('inkling/chat', (asked: Asked, token: vscode.CancellationToken) => {
		const piece = new ProgressType<{ text: string }>();
		return answer(asked, (text) => client.sendProgress(piece, asked.partialResultToken, { text }), token);
	});
}

async function answer(
	asked: Asked,
	heard: (text: string) => unknown,
	token: vscode.CancellationToken,
): Promise<Answer> {
	try {
		const models = (await vscode.lm?.selectChatModels()) ?? []; // an older or other editor has none
		const model = pick(models, asked.model);
		if (model === undefined) {
			return noModel(models, asked.model);
		}
		const tools = asked.tools.map((tool) => ({ ...tool }));
		const justification = t('Inkling asks it what you ask the agent, about the code that you show it.');
		const response = await model.sendRequest(messages(asked.messages), { justification, tools }, token);
		let text = '';
		const calls: Call[] = [];
		for await (const part of response.stream) {
			if (part instanceof vscode.LanguageModelTextPart) {
				text += part.value;
				void heard(part.value);
			} else if (part instanceof vscode.LanguageModelToolCallPart) {
				calls.push({ id: part.callId, name: part.name, input: part.input });
			}
		}
		return { text, calls, model: model.name };
	} catch (error) {
		return refusal(error);
	}
}

function messages(said: readonly Message[]): vscode.LanguageModelChatMessage[] {
	return said.map(({ role, text, calls, results }) =>
		role === 'assistant'
			? vscode.LanguageModelChatMessage.Assistant([
					...(text ? [new vscode.LanguageModelTextPart(text)] : []),
					...calls.map(({ id, name, input }) => new vscode.LanguageModelToolCallPart(id, name, input)),
				])
			: vscode.LanguageModelChatMessage.User([
					...results.map(
						({ call, text }) => new vscode.LanguageModelToolResultPart(call, [new vscode.LanguageModelTextPart(text)]),
					),
					...(text ? [new vscode.LanguageModelTextPart(text)] : []),
				]),
	);
}
