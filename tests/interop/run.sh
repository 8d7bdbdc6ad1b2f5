#!/bin/sh
# The interop tests: Ox against the real BullMQ.
#
#   sh tests/interop/run.sh BUILD [--write-docs | --self-check] [FILE.test.mjs...]
#   sh tests/interop/run.sh BUILD --fleet [FLEET-OPTIONS...]
#   sh tests/interop/run.sh BUILD --worker [WORKER-OPTIONS...]
#
# Installs the packages of package-lock.json with npm when they are not there, runs the test
# files (all, or the named ones) and prints one line a test and the numbers.
#
#   --write-docs   writes docs/compatibility.md from the results; all must have passed
#   --self-check   tests the tests: BullMQ stands in for Ox. Where BullMQ is known not to do
#                  what is asked of Ox, it must then fail.
#   --fleet        runs the mixed fleet of fleet.mjs alone, as long as its options say
#   --worker       runs ox-worker under the faults of ../fault/run.mjs alone
set -u

usage() {
    echo "usage: run.sh BUILD [--write-docs | --self-check] [FILE.test.mjs...]" >&2
    echo "       run.sh BUILD --fleet [FLEET-OPTIONS...]" >&2
    echo "       run.sh BUILD --worker [WORKER-OPTIONS...]" >&2
    exit 2
}

[ $# -ge 1 ] || usage
[ -d "$1" ] || { echo "run.sh: no build folder $1: run make" >&2; exit 2; }
OX_BUILD=$(cd "$1" && pwd)
export OX_BUILD
shift
cd "$(dirname "$0")" || exit 2

write_docs=
alone=
case ${1:-} in
--write-docs)
    write_docs=1
    shift
    ;;
--self-check)
    OX_INTEROP_SELF=1
    export OX_INTEROP_SELF
    shift
    ;;
--fleet)
    alone=fleet.mjs
    shift
    ;;
--worker)
    alone=../fault/run.mjs
    shift
    ;;
-*) usage ;;
esac
[ -z "$write_docs" ] || [ $# -eq 0 ] || usage
[ -n "$alone" ] || [ $# -gt 0 ] || set -- *.test.mjs

major=$(node -p 'process.versions.node.split(".")[0]') || exit 1
[ "$major" -ge 18 ] || { echo "run.sh: Node.js 18 or newer is needed" >&2; exit 1; }

# A finished installation leaves node_modules/.package-lock.json, newer than what it is of.
installed=node_modules/.package-lock.json
if [ ! -e $installed ] || [ -n "$(find package-lock.json package.json -newer $installed)" ]; then
    echo "Installing bullmq and what it needs with npm ci" >&2
    npm ci --silent --no-progress >&2 || exit 1
fi

# Servers live in folders under here, each with its process id in "pid": a test process that
# was killed leaves one behind.
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/ox-interop-XXXXXX") || exit 2
export TMPDIR
clean_up() {
    cat "$TMPDIR"/*/pid 2>/dev/null | while read -r pid; do
        kill -KILL "$pid" 2>/dev/null
    done
    rm -rf "$TMPDIR"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

if [ -n "$alone" ]; then
    node "$alone" "$@"
    exit # with its status
fi

OX_INTEROP_RESULTS=$TMPDIR/results
export OX_INTEROP_RESULTS
node --test --test-concurrency=2 --test-reporter=./report.mjs \
    --test-reporter-destination=stdout "$@"
status=$?
if [ -n "$write_docs" ]; then
    [ $status -eq 0 ] || { echo "run.sh: docs/compatibility.md is left as it was" >&2; exit 1; }
    node docs.mjs "$OX_INTEROP_RESULTS" ../../docs/compatibility.md || exit 1
fi
exit $status
