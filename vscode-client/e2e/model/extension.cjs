/**
 * A chat model without a network: what it says depends on what it is asked, and goes the editor's real way to others.
 *
 * It calls tools like any model does, streams in pieces, and can be stopped.
 */

const vscode = require('vscode');

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const text = (message) =>
	message.content.map((part) => (part instanceof vscode.LanguageModelTextPart ? part.value : '')).join('');
const results = (messages) =>
	messages.flatMap(({ content }) => content.filter((part) => part instanceof vscode.LanguageModelToolResultPart));

let calls = 0;
const call = (name, input) => new vscode.LanguageModelToolCallPart(`call-${++calls}`, name, input);
const edit = (path, old, fresh) => call('edit_file', { path, old, new: fresh });

/** The next turn: tool calls, or words. */
function turn(messages) {
	const asked = text(messages[0]);
	const answered = results(messages).length;
	if (asked.includes('The flagged lines')) {
		return ['```python\nprint(len(values))\n```'];
	}
	if (asked.includes('Explain what this code does')) {
		return answered === 0
			? ['Let me look at the file. ', call('read_file', { path: 'shapes.py', first: 1, last: 12 })]
			: ['It measures ', 'the area ', 'of a circle:\n```python\nmath.pi * self.radius**2\n```\n'];
	}
	if (asked.includes('documentation comment')) {
		return answered === 0
			? [
					edit('shapes.py', 'None:\n', 'None:\n        """A circle of this radius."""\n'),
					edit('shapes.py', 'float:\n        return', 'float:\n        """Its area."""\n        return'),
				]
			: ['Both methods have a docstring now.'];
	}
	if (asked.includes('Write a test')) {
		return answered === 0
			? [
					call('semantic_search', { query: 'tests' }),
					edit('test_shapes.py', '', 'from shapes import Circle\n\n\ndef test_area():\n    assert Circle(2).area() > 12\n'),
				]
			: ['It proves that the area is about right.'];
	}
	return undefined; // thinks for ever
}

exports.activate = (context) => {
	const provider = {
		provideLanguageModelChatInformation: () => [
			{
				id: 'scripted-1',
				name: 'Scripted One',
				family: 'scripted',
				version: '1',
				maxInputTokens: 100_000,
				maxOutputTokens: 10_000,
				capabilities: { toolCalling: true },
			},
		],
		async provideLanguageModelChatResponse(_model, messages, _options, progress, token) {
			const parts = turn(messages);
			if (parts === undefined) {
				await new Promise((resolve) => token.onCancellationRequested(resolve));
				return;
			}
			for (const part of parts) {
				await pause(100);
				progress.report(typeof part === 'string' ? new vscode.LanguageModelTextPart(part) : part);
			}
		},
		provideTokenCount: async (_model, counted) => Math.ceil((typeof counted === 'string' ? counted : text(counted)).length / 4),
	};
	context.subscriptions.push(vscode.lm.registerLanguageModelChatProvider('scripted', provider));
};
