#!/usr/bin/env bash
# A real VS Code workbench (as code-server) beside this file: once, from the npm registry alone.
#
# No install script is run, so nothing is compiled and nothing else is asked for; what code-server's own
# script would do beyond that is done below. It needs a newer Node than ours, which comes as a package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export npm_config_ignore_scripts=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false

version=$(node -p "require('./package.json').dependencies['code-server']")
done_mark=node_modules/.ready-$version
[ -e "$done_mark" ] && exit 0

echo "Installing a workbench for the end-to-end run (about 500 MB, once)"
npm ci --no-progress --loglevel=error
workbench=node_modules/code-server/lib/vscode
for folder in "$workbench" "$workbench/extensions"; do
  # Their lock files do not match their manifests, so `npm ci` would refuse.
  (cd "$folder" && npm install --omit=dev --no-progress --loglevel=error)
done

# Chat and other platforms' programs are not under test, and large.
rm -rf "$workbench"/node_modules/@github/copilot* "$workbench"/extensions/copilot
node stable-only.mjs "$workbench/out/vs/workbench/api/node/extensionHostProcess.js"
touch "$done_mark"
