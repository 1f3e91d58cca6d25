/**
 * The agent page, alive: shows runs as they go on, with tool calls folded, and passes on what the user decides.
 */

import { type Part, type Proposal, type Run, type Said, size, type Told, type Words } from '../agent/run';

declare function acquireVsCodeApi(): { postMessage(said: Said): void };

const editor = acquireVsCodeApi();
const list = document.getElementById('runs') as HTMLElement;
const empty = document.getElementById('empty') as HTMLElement;
const form = document.getElementById('form') as HTMLFormElement;
const question = document.getElementById('question') as HTMLTextAreaElement;
const words = JSON.parse(list.dataset['words'] ?? '{}') as Words;

function make<K extends keyof HTMLElementTagNameMap>(tag: K, text = '', kind = ''): HTMLElementTagNameMap[K] {
	const element = document.createElement(tag);
	element.textContent = text;
	if (kind) {
		element.className = kind;
	}
	return element;
}

function button(text: string, said: Said, quiet = false): HTMLButtonElement {
	const element = make('button', text, quiet ? 'quiet' : '');
	element.type = 'button';
	element.dataset['do'] = said.type;
	element.addEventListener('click', () => editor.postMessage(said));
	return element;
}

/** What the model said: plain text, with its code blocks set apart. */
function said(text: string): HTMLElement {
	const element = make('div', '', 'said');
	for (const [index, piece] of text.split(/^```.*$/m).entries()) {
		element.append(index % 2 === 0 ? piece.trim() : make('pre', piece.trim()));
	}
	return element;
}

function partOf(part: Part, open: boolean): HTMLElement {
	if (part.kind === 'text') {
		return said(part.text);
	}
	const details = make('details');
	details.open = open;
	details.dataset['call'] = part.id;
	const first = part.input.split('\n', 1)[0] ?? '';
	details.append(make('summary', `${part.answer === undefined ? '… ' : ''}${part.name} ${first}`.slice(0, 120)));
	details.append(make('pre', part.input), make('pre', part.answer ?? ''));
	return details;
}

function proposalsOf(run: Run): HTMLElement[] {
	if (run.proposals.length === 0) {
		return [];
	}
	const rows = make('ul');
	for (const proposal of run.proposals) {
		const row = make('li');
		const label = words.review.replace('{0}', proposal.path);
		row.append(button(label, { type: 'review', id: run.id, path: proposal.path }, true), ` ${sizeOf(proposal)}`);
		rows.append(row);
	}
	const buttons = make('div', '', 'buttons');
	buttons.append(button(words.apply, { type: 'apply', id: run.id }), button(words.deny, { type: 'deny', id: run.id }, true));
	return [make('p', words.proposed), rows, buttons];
}

function sizeOf(proposal: Proposal): string {
	return proposal.before === null ? `${size(proposal.diff)}, ${words.isNew}` : size(proposal.diff);
}

function show(run: Run): void {
	const before = list.querySelector(`[data-run="${run.id}"]`);
	const open = new Set([...(before?.querySelectorAll('details[open]') ?? [])].map((one) => (one as HTMLElement).dataset['call']));
	const article = make('article', '', run.state);
	article.dataset['run'] = run.id;
	const title = make('h2', `${words.kinds[run.kind] ?? run.kind}: ${run.title} `);
	const state = run.state === 'running' ? words.running : run.state === 'stopped' ? words.stopped : run.model;
	title.append(make('small', state));
	article.append(title, ...run.parts.map((part) => partOf(part, part.kind === 'call' && open.has(part.id))));
	if (run.note) {
		article.append(make('p', run.note, 'note'));
	}
	article.append(...proposalsOf(run));
	const buttons = make('div', '', 'buttons');
	if (run.state === 'running') {
		buttons.append(button(words.stop, { type: 'stop', id: run.id }, true));
	}
	if (run.state === 'refused' && ['off', 'no_model', 'no_client'].includes(run.reason)) {
		buttons.append(button(words.cure, { type: 'cure', id: run.id }));
	}
	if (run.applied.length > 0) {
		article.append(make('p', words.applied.replace('{0}', run.applied.join(', '))));
		buttons.append(button(words.undo, { type: 'undo', id: run.id }, true));
	}
	article.append(buttons);
	const atEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 40;
	if (before) {
		before.replaceWith(article);
	} else {
		list.append(article);
	}
	if (atEnd || !before) {
		list.scrollTop = list.scrollHeight;
	}
	empty.hidden = true;
}

form.addEventListener('submit', (event) => {
	event.preventDefault();
	if (question.value.trim() !== '') {
		editor.postMessage({ type: 'ask', text: question.value.trim() });
		question.value = '';
	}
});
question.addEventListener('keydown', (event) => {
	if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
		event.preventDefault();
		form.requestSubmit();
	}
});

window.addEventListener('message', ({ data }: MessageEvent<Told>) => {
	if (data.type === 'run') {
		show(data.run);
		return;
	}
	if (data.type === 'focus') {
		question.focus();
		return;
	}
	list.replaceChildren();
	empty.hidden = data.runs.length > 0;
	data.runs.forEach(show);
});

// The view was focused, nothing in it.
window.addEventListener('focus', () => {
	if (document.activeElement === document.body) {
		question.focus();
	}
});

editor.postMessage({ type: 'ready' });
