#!/bin/sh
# run.sh BUILD [OPTIONS]: installs the peers if need be, then measures; see run.mjs.
set -eu
build=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")"
[ package-lock.json -ot node_modules/.package-lock.json ] ||
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
cd ../..
exec node tests/bench/run.mjs "$build" "$@"
