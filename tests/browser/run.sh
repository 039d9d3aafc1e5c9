#!/usr/bin/env bash
# The console in a real browser: the demonstration's story performed by its buttons, every page looked at in light and dark,
# wide and narrow, by axe and by people. Ends with 0 only if all went well. Screenshots are in target/browser.
#
# Needs the local process (target/debug/local, or LASTGOOD_LOCAL), Node with npm, python3 for the story's smoke check, and
# chromium (CHROMIUM, else /usr/bin/chromium).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly TOOLS=target/ci/browser

# Node looks for packages beside the script.
mkdir -p "$TOOLS" target/browser
cp tests/browser/package.json tests/browser/package-lock.json tests/browser/.npmrc "$TOOLS"
npm ci --prefix "$TOOLS" --no-audit --no-fund --loglevel error --ignore-scripts
cp tests/browser/*.mjs "$TOOLS"
LASTGOOD_LOCAL=$(realpath "${LASTGOOD_LOCAL:-target/debug/local}") SCREENSHOTS=$PWD/target/browser \
  SMOKE_CHECK=$PWD/tests/clients/functions/smoke-check/bootstrap node "$TOOLS/main.mjs"
