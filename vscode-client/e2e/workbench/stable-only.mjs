/**
 * Puts VS Code's own rule about proposed API back into a code-server, which switches every proposal on.
 *
 * Without it a green run would not prove that the extension works in the editor that people have. Fails if the place
 * is not found, so that a newer code-server cannot slip through.
 */

import { readFileSync, writeFileSync } from 'node:fs';

const MARK = '/*stable-only*/';
const [file] = process.argv.slice(2);
const code = readFileSync(file, 'utf8');

// The function that says yes to everything stands right before the one that throws where it says no.
const name = String.raw`[\w$]+`;
const lenient = new RegExp(
	String.raw`function (${name})\((${name}),(${name})\)\{return!0\}` +
		String.raw`(?=function ${name}\(${name},${name}\)\{if\(!\1\(${name},${name}\)\)throw new Error\(` +
		String.raw`\`Extension '\$\{${name}\.identifier\.value\}' CANNOT use API proposal)`,
);

if (code.includes(MARK)) {
	console.log('Proposed API is refused already.');
} else if (lenient.test(code)) {
	const strict = (_, rule, extension, proposal) =>
		`function ${rule}(${extension},${proposal}){${MARK}return!!${extension}.enabledApiProposals?.includes(${proposal})}`;
	writeFileSync(file, code.replace(lenient, strict));
	console.log('Proposed API is refused from now on, as in VS Code.');
} else {
	console.error(`${file}: the rule about proposed API was not found; this version of code-server needs another pattern.`);
	process.exit(1);
}
