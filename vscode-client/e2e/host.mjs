/** Runs `host/tests.cjs` inside the extension host of a real workbench; `make e2e` prepares everything. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pause, startWorkbench } from './workbench.mjs';

const MOST_MILLISECONDS = 900_000; // for all of them, on a busy machine

const here = import.meta.dirname;
const inkling = process.env.INKLING;
if (!inkling) {
	console.error('INKLING names the server that is under test: INKLING=/path/to/inkling node e2e/host.mjs');
	process.exit(2);
}
/** Writes a wheel that installs without asking anybody: its `inkling` is the one under test. */
const WHEEL = String.raw`
import sys, zipfile
file, program = sys.argv[1:]
passed_on = f"import os, sys\nif sys.argv[1:] != ['models', 'pull']: os.execv({program!r}, [{program!r}, *sys.argv[1:]])\n"
about = "inkling-0.1.0.dist-info"
with zipfile.ZipFile(file, "w") as wheel:
    wheel.writestr("inkling/__init__.py", "")
    wheel.writestr("inkling/__main__.py", passed_on)
    wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: inkling\nVersion: 0.1.0\nProvides-Extra: cpu\n")
    wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{about}/RECORD", "")
`;
const folder = mkdtempSync(path.join(tmpdir(), 'inkling-wheel-'));
const wheel = path.join(folder, 'inkling-0.1.0-py3-none-any.whl');
execFileSync('python3', ['-c', WHEEL, wheel, inkling]);
/** PATH without an `inkling`, so that only what is installed is found. */
const PATH = process.env.PATH.split(path.delimiter).filter((one) => !existsSync(path.join(one, 'inkling'))).join(path.delimiter);
const bench = await startWorkbench({
	environment: { PATH },
	files: { 'main.py': 'import os\n\nvalues = [1, 2, 3]\n' },
	settings: { 'inkling.path': inkling, 'inkling.install.source': wheel, 'inkling.index.enabled': false, 'inkling.linters.pyright': false },
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
rmSync(folder, { recursive: true });
console.log(`Tests in the extension host ended with ${code}.`);
process.exit(code === 0 ? 0 : 1);
