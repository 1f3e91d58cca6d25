/**
 * The search page, alive: asks while one types, lists what comes, and can be used without a mouse.
 */

import type { Filters, Row, Said, Told } from '../search/messages';

declare function acquireVsCodeApi(): { postMessage(said: Said): void };

interface Words {
	readonly asking: string;
	readonly nothing: string;
	readonly one: string;
	readonly many: string;
	readonly matched: Readonly<Record<string, string>>;
}

const PAUSE_MILLISECONDS = 350;
const SHORTEST = 3;

const editor = acquireVsCodeApi();
const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const form = element<HTMLFormElement>('form');
const query = element<HTMLInputElement>('query');
const list = element<HTMLUListElement>('rows');
const said = element('said');
const filters = ['kind', 'language', 'path'].map((id) => element<HTMLInputElement>(id));
const words = JSON.parse(form.dataset['words'] ?? '{}') as Words;

let number = 0;
let asked = '';
let history: readonly string[] = [];
let back = -1; // how far one went back in the history; -1: not at all
let timer: number | undefined;

function ask(): void {
	clearTimeout(timer);
	const question = JSON.stringify([query.value, filters.map(({ value }) => value)]);
	if (query.value.trim() === '' || question === asked) {
		return;
	}
	asked = question;
	number += 1;
	list.replaceChildren();
	said.textContent = words.asking;
	const [kind = '', language = '', path = ''] = filters.map(({ value }) => value);
	const chosen: Filters = { kind, language, path };
	editor.postMessage({ type: 'ask', number, query: query.value, filters: chosen });
}

function askSoon(): void {
	clearTimeout(timer);
	if (query.value.trim().length >= SHORTEST) {
		timer = window.setTimeout(ask, PAUSE_MILLISECONDS);
	}
}

/** Show these rows; the one that one stands on stays where it is reached. */
function show(shown: readonly Row[]): void {
	const current = document.activeElement as HTMLElement | null;
	const key = current?.closest('li')?.dataset['key'];
	const items = shown.map(itemOf);
	list.replaceChildren(...items);
	const again = items.find((item) => item.dataset['key'] === key);
	if (again !== undefined) {
		again.ariaSelected = 'true';
		again.focus();
	} else if (key !== undefined) {
		query.focus();
	}
	const reached = again ?? items[0];
	if (reached !== undefined) {
		reached.tabIndex = 0;
	}
}

function itemOf(row: Row): HTMLElement {
	const item = document.createElement('li');
	item.role = 'option';
	item.tabIndex = -1;
	item.ariaSelected = 'false';
	item.dataset['key'] = row.key;
	const title = document.createElement('b');
	title.textContent = row.title;
	const place = document.createElement('small');
	const matched = row.matched.map((way) => words.matched[way] ?? way).join(', ');
	place.textContent = `${row.place} · ${row.kind} · ${matched}`;
	const code = document.createElement('pre');
	code.textContent = row.lines.join('\n');
	item.append(title, place, code);
	return item;
}

function rows(): HTMLElement[] {
	return [...list.children] as HTMLElement[];
}

/** Go to a row: it is shown in the editor, the focus stays here. */
function select(item: HTMLElement | undefined): void {
	if (item === undefined) {
		return;
	}
	for (const other of rows()) {
		other.ariaSelected = String(other === item);
		other.tabIndex = other === item ? 0 : -1;
	}
	item.focus();
	item.scrollIntoView({ block: 'nearest' });
	editor.postMessage({ type: 'preview', key: item.dataset['key'] ?? '' });
}

function open(item: Element | null | undefined): void {
	if (item instanceof HTMLElement) {
		editor.postMessage({ type: 'open', key: item.dataset['key'] ?? '' });
	}
}

function goBack(step: 1 | -1): void {
	back = Math.max(-1, Math.min(back + step, history.length - 1));
	query.value = back === -1 ? '' : (history[back] ?? '');
}

query.addEventListener('keydown', (event) => {
	if (event.key === 'ArrowUp') {
		goBack(1);
	} else if (event.key === 'ArrowDown' && back > -1 && list.childElementCount === 0) {
		goBack(-1);
	} else if (event.key === 'ArrowDown') {
		select(rows()[0]);
	} else {
		return;
	}
	event.preventDefault();
});

list.addEventListener('keydown', (event) => {
	const all = rows();
	const at = all.indexOf(document.activeElement as HTMLElement);
	const goals: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 };
	const goal = goals[event.key];
	if (event.key === 'Enter') {
		open(all[at]);
	} else if (event.key === 'Escape' || goal === -1) {
		query.focus();
	} else if (goal !== undefined) {
		select(all[Math.min(goal, all.length - 1)]);
	} else {
		return;
	}
	event.preventDefault();
});

list.addEventListener('click', ({ target }) => {
	const item = (target as Element).closest('li');
	select(item ?? undefined);
});
list.addEventListener('dblclick', ({ target }) => open((target as Element).closest('li')));

form.addEventListener('submit', (event) => {
	event.preventDefault();
	const before = asked;
	ask();
	if (before === asked) {
		select(rows()[0]); // asked already: go on to the results
	}
});
query.addEventListener('input', () => {
	back = -1;
	askSoon();
});
for (const filter of filters) {
	filter.addEventListener('change', ask);
}

window.addEventListener('message', ({ data }: MessageEvent<Told>) => {
	history = data.history;
	if (data.type === 'start') {
		if (data.query !== '') {
			query.value = data.query;
			ask();
		}
		if (data.focus) {
			query.focus();
			query.select();
		}
	} else if (data.number === number) {
		show(data.rows);
		const count = list.childElementCount;
		const counted = count === 0 ? words.nothing : count === 1 ? words.one : words.many.replace('{0}', String(count));
		said.textContent = data.done ? `${counted} ${data.note}`.trim() : words.asking;
	}
});

// The view was focused, nothing in it.
window.addEventListener('focus', () => {
	if (document.activeElement === document.body) {
		query.focus();
	}
});

editor.postMessage({ type: 'ready' });
