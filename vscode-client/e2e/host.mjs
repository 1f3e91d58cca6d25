/** Runs `host/tests.cjs` inside the extension host of a real workbench; `make e2e` prepares everything. */

import path from 'node:path';
import { pause, startWorkbench } from './workbench.mjs';

const MOST_MILLISECONDS = 400_000;

const here = import.meta.dirname;
const inkling = process.env.INKLING;
if (!inkling) {
	console.error('INKLING names the server that is under test: INKLING=/path/to/inkling node e2e/host.mjs');
	process.exit(2);
}
const bench = await startWorkbench({
	files: { 'main.py': 'import os\n\nvalues = [1, 2, 3]\n' },
	settings: { 'inkling.path': inkling, 'inkling.index.enabled': false, 'inkling.linters.pyright': false },
	host: {
		extension: path.join(here, '..'),
		tests: path.join(here, 'host', 'tests.cjs'),
		log(text) {
			const line = /(ok {3}|FAIL ).*/.exec(text);
			if (line) {
				console.log(line[0]);
			}
		},
	},
});
const code = await Promise.race([bench.ended, pause(MOST_MILLISECONDS).then(() => 'none, it took too long')]);
if (code !== 0) {
	console.log(bench.said.slice(-10).join('\n').slice(0, 3000));
}
await bench.stop();
console.log(`Tests in the extension host ended with ${code}.`);
process.exit(code === 0 ? 0 : 1);
