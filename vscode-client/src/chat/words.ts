/**
 * What the server asks the editor's chat model (`inkling/chat`), and what is answered where the model cannot be asked.
 *
 * Pure. The reasons are the server's words; each comes with a sentence that says what the user can do.
 */

import { t } from '../l10n';

export interface Call {
	readonly id: string;
	readonly name: string;
	readonly input: object;
}

/** One message of the conversation; `calls` are the assistant's, `results` answer them. */
export interface Message {
	readonly role: 'user' | 'assistant';
	readonly text: string;
	readonly calls: readonly Call[];
	readonly results: readonly { readonly call: string; readonly text: string }[];
}

export interface Asked {
	readonly messages: readonly Message[];
	readonly tools: readonly { readonly name: string; readonly description: string; readonly inputSchema: object }[];
	/** The id or family of the model that is wanted; empty: whichever there is. */
	readonly model: string;
	readonly partialResultToken: string;
}

export type Answer =
	| { readonly text: string; readonly calls: readonly Call[]; readonly model: string }
	| { readonly refused: Reason; readonly message: string };

export type Reason = 'no_model' | 'no_permission' | 'blocked' | 'failed';

/** What a model is known by. */
export interface Named {
	readonly id: string;
	readonly family: string;
	readonly name: string;
}

/** The model that is meant: by id, else by family, else by name; any for an empty wish. */
export function pick<Model extends Named>(models: readonly Model[], wanted: string): Model | undefined {
	const wish = wanted.trim();
	if (wish === '') {
		return models[0];
	}
	for (const key of ['id', 'family', 'name'] as const) {
		const found = models.find((model) => model[key] === wish);
		if (found !== undefined) {
			return found;
		}
	}
	return undefined;
}

/** Nobody offers the model. */
export function noModel(models: readonly Named[], wanted: string): Answer {
	const names = models.map(({ id }) => id).join(', ');
	const message =
		models.length === 0
			? t('The editor has no chat model: install an extension that brings one, such as GitHub Copilot Chat, and sign in.')
			: t('The editor has no chat model {0}; it has {1}. Change the setting inkling.agent.editorModel.', wanted, names);
	return { refused: 'no_model', message };
}

/** What the editor raised, as an answer. `code` is that of its own error for language models. */
export function refusal(error: unknown): Answer {
	const { code, message: why } = (error ?? {}) as { code?: unknown; message?: unknown };
	const detail = typeof why === 'string' && why !== '' ? why : String(error);
	switch (code) {
		case 'NoPermissions':
			return {
				refused: 'no_permission',
				message: t('You have not allowed Inkling to use the chat model; run it again and allow it when the editor asks.'),
			};
		case 'Blocked':
			return { refused: 'blocked', message: t('The chat model is blocked or its quota is used up: {0}', detail) };
		case 'NotFound':
			return { refused: 'no_model', message: t('The chat model is not there any more: {0}', detail) };
		default:
			return { refused: 'failed', message: t('The chat model failed: {0}', detail) };
	}
}
