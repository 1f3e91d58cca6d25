/**
 * The agent page, alive: shows runs as they go on, with tool calls folded, and passes on what the user decides.
 */

import { type Block, blocksOf, Elements } from '../agent/blocks';
import { type Part, type Proposal, type Run, type Said, size, type Told, type Words } from '../agent/run';

declare function acquireVsCodeApi(): { postMessage(said: Said): void };

const editor = acquireVsCodeApi();
const list = document.getElementById('runs') as HTMLElement;
const empty = document.getElementById('empty') as HTMLElement;
const form = document.getElementById('form') as HTMLFormElement;
const question = document.getElementById('question') as HTMLTextAreaElement;
const words = JSON.parse(list.dataset['words'] ?? '{}') as Words;
const runs = new Map<string, { readonly article: HTMLElement; readonly elements: Elements<HTMLElement> }>();

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
	const first = part.input.split('\n', 1)[0] ?? '';
	details.append(make('summary', `${part.answer === undefined ? '… ' : ''}${part.name} ${first}`.slice(0, 120)));
	details.append(make('pre', part.input), make('pre', part.answer ?? ''));
	return details;
}

function proposalsOf(id: string, proposals: readonly Proposal[]): HTMLElement {
	const rows = make('ul');
	for (const proposal of proposals) {
		const row = make('li');
		const label = words.review.replace('{0}', proposal.path);
		row.append(button(label, { type: 'review', id, path: proposal.path }, true), ` ${sizeOf(proposal)}`);
		rows.append(row);
	}
	const buttons = make('div', '', 'buttons');
	const always = button(words.always, { type: 'always', id }, true);
	always.title = words.alwaysMeans;
	buttons.append(button(words.apply, { type: 'apply', id }), always, button(words.deny, { type: 'deny', id }, true));
	const element = make('div');
	element.append(make('p', words.proposed), rows, buttons);
	return element;
}

function sizeOf(proposal: Proposal): string {
	return proposal.before === null ? `${size(proposal.diff)}, ${words.isNew}` : size(proposal.diff);
}

function titleOf({ kind, title, state, model }: Pick<Run, 'kind' | 'title' | 'state' | 'model'>): HTMLElement {
	const element = make('h2', `${words.kinds[kind] ?? kind}: ${title} `);
	element.append(make('small', state === 'running' ? words.running : state === 'stopped' ? words.stopped : model));
	return element;
}

function buttonsOf(id: string, can: readonly ('stop' | 'cure' | 'undo')[]): HTMLElement {
	const buttons = make('div', '', 'buttons');
	buttons.append(...can.map((what) => button(words[what], { type: what, id }, what !== 'cure')));
	return buttons;
}

function elementOf(block: Block, before?: HTMLElement): HTMLElement {
	switch (block.kind) {
		case 'title':
			return titleOf(block.run);
		case 'part':
			return partOf(block.part, before?.hasAttribute('open') ?? false);
		case 'note':
			return make('p', block.text, 'note');
		case 'unfinished':
			return make('p', words.unfinished.replace('{0}', String(block.turns)), 'unfinished-note');
		case 'proposals':
			return proposalsOf(block.id, block.proposals);
		case 'applied':
			return make('p', words.applied.replace('{0}', block.paths.join(', ')));
		case 'buttons':
			return buttonsOf(block.id, block.can);
	}
}

function show(run: Run): void {
	const atEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 40;
	const isNew = !runs.has(run.id);
	const { article, elements } = runs.get(run.id) ?? begin(run.id);
	article.className = run.state;
	elements.follow(blocksOf(run));
	if (atEnd || isNew) {
		list.scrollTop = list.scrollHeight;
	}
	empty.hidden = true;
}

function begin(id: string) {
	const article = make('article');
	article.dataset['run'] = id;
	list.append(article);
	const begun = { article, elements: new Elements<HTMLElement>(article, elementOf) };
	runs.set(id, begun);
	return begun;
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
	runs.clear();
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
