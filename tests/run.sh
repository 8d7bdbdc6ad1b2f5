#!/bin/sh
# Runs the tests: sh tests/run.sh BUILD [NAME...]
#
# BUILD is the build folder. A NAME is unit, integration, fuzz, interop, fault, bench, or one
# program such as unit/test_url or fuzz/json; without names everything runs. Each runner (a cmocka
# program, a fuzz target over its corpus, or the Node tests) has a time limit and a summary of
# its own, which is shown; the whole output is shown when it failed. The last line counts the
# tests of all runners: "N passed, N failed".
#
# A runner fails, whatever it printed, when it is missing, crashes, runs out of time or runs
# no test at all. What outlives the tests, a process or a file in the temporary folder, is a
# failure as well.
set -u

[ $# -ge 1 ] || { echo "usage: tests/run.sh BUILD [NAME...]" >&2; exit 2; }
cd "$(dirname "$0")/.." || exit 2
[ -d "$1" ] || { echo "tests/run.sh: no build folder $1: run make" >&2; exit 2; }
OX_BUILD=$(cd "$1" && pwd)
export OX_BUILD
shift

# Everything that the tests make lies here, and every process they start has the mark in its
# environment: what is left at the end can be found.
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/ox-run-XXXXXX") || exit 2
OX_TEST_RUN=$TMPDIR
export TMPDIR OX_TEST_RUN
log=$TMPDIR/log
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM HUP

# Limits end what hangs; on a busy machine, tests may need most of them. Sanitizers make
# everything several times slower. Each process writes what they find to a file, also one whose
# stderr nobody reads; exit status 99 is none that a program means.
limit_s=240
interop_limit_s=900
case $OX_BUILD in
*/san-*)
    limit_s=800
    interop_limit_s=2400
    common="exitcode=99:log_path=$TMPDIR/sanitizer"
    export ASAN_OPTIONS="$common:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:allocator_may_return_null=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
    export LSAN_OPTIONS="suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0"
    export UBSAN_OPTIONS="$common:print_stacktrace=1:halt_on_error=1"
    ;;
esac

passed=0
failed=0

# The sum of the numbers that a sed expression finds in the log.
sum() {
    sed -n "$1" "$log" | { n=0; while read -r i; do n=$((n + i)); done; echo $n; }
}

# run NAME LIMIT_S PASSED-SED FAILED-SED SUMMARY-GREP COMMAND...
run() {
    name=$1 seconds=$2 good_sed=$3 bad_sed=$4 summary=$5
    shift 5
    start=$(date +%s%N)
    timeout -k 10 "$seconds" "$@" </dev/null >"$log" 2>&1
    status=$?
    took_ms=$((($(date +%s%N) - start) / 1000000))
    good=$(sum "$good_sed")
    bad=$(sum "$bad_sed")
    why=
    if [ $status -ne 0 ] && [ $took_ms -ge $((seconds * 1000)) ]; then
        why="did not end within $seconds s"
    elif [ $status -ge 128 ]; then
        why="ended by signal $((status - 128))"
    elif [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then
        why="exit status $status"
    elif [ "$good" -eq 0 ] && [ "$bad" -eq 0 ]; then
        why="ran no test"
    fi
    for report in "$TMPDIR"/sanitizer.*; do
        [ -e "$report" ] || continue
        cat "$report" >>"$log"
        rm -f "$report"
        why="${why:+$why, }a sanitizer's report"
    done
    # A death counts as one more failure: of the test that ran, which could not say so.
    [ -z "$why" ] || bad=$((bad + 1))
    passed=$((passed + good))
    failed=$((failed + bad))
    [ "$bad" -eq 0 ] || cat "$log"
    printf '%-36s %3d.%03d s  %s\n' "$name" $((took_ms / 1000)) $((took_ms % 1000)) \
        "$(grep -E "$summary" "$log" | tr '\n' ' ')${why:+FAILED: $why}"
}

run_program() {
    name=$(dirname "$1" | sed 's|.*/||')/$(basename "$1" .c)
    run "$name" "$limit_s" \
        's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' \
        's/^ *\([0-9]*\) FAILED TEST(S)$/\1/p' \
        '^\[  (PASSED|FAILED|SKIPPED) *\] [0-9]+ test' \
        "$OX_BUILD/tests/$name"
}

# A fuzz target, once over each file of its corpus.
run_corpus() {
    name=$(basename "$1" .c)
    run "fuzz/${name#fuzz_}" "$limit_s" 's/^\([0-9]*\) inputs passed$/\1/p' d \
        '^[0-9]+ inputs passed$' "$OX_BUILD/tests/fuzz/$name" \
        tests/fuzz/corpus/"${name#fuzz_}"/*
}

run_interop() {
    run interop "$interop_limit_s" \
        's/^[#ℹ]* pass \([0-9]*\)$/\1/p' \
        's/^[#ℹ]* \(fail\|cancelled\) \([0-9]*\)$/\2/p' \
        '^(#|ℹ) (pass|fail|cancelled|skipped) [0-9]+$' \
        sh tests/interop/run.sh "$OX_BUILD"
}

# ox-worker under faults, in the short form of each question.
run_fault() {
    run fault 300 \
        's/^\([0-9]*\) passed, [0-9]* failed$/\1/p' \
        's/^[0-9]* passed, \([0-9]*\) failed$/\1/p' \
        '^[0-9]+ passed, [0-9]+ failed$' \
        sh tests/interop/run.sh "$OX_BUILD" --worker
}

# Each benchmark once, with tiny counts: it must still run, and lose no job.
run_bench() {
    run bench 480 \
        's/^\([0-9]*\) passed, [0-9]* failed$/\1/p' \
        's/^[0-9]* passed, \([0-9]*\) failed$/\1/p' \
        '^[0-9]+ passed, [0-9]+ failed$' \
        sh tests/bench/run.sh "$OX_BUILD" --smoke
}

run_named() {
    case $1 in
    unit | integration)
        for source in tests/"$1"/test_*.c; do
            [ ! -e "$source" ] || run_program "$source"
        done
        ;;
    fuzz)
        for source in tests/fuzz/fuzz_*.c; do
            run_corpus "$source"
        done
        ;;
    fuzz/*)
        [ -e "tests/fuzz/fuzz_${1#*/}.c" ] || { echo "tests/run.sh: there is no test $1" >&2; exit 2; }
        run_corpus "fuzz_${1#*/}"
        ;;
    interop) run_interop ;;
    fault) run_fault ;;
    bench) run_bench ;;
    *)
        [ -e "tests/$1.c" ] || { echo "tests/run.sh: there is no test $1" >&2; exit 2; }
        run_program "tests/$1.c"
        ;;
    esac
}

# Processes that have our mark in the environment they were started with; this shell and its
# forks have not, because it was set later. Always called as $(leftovers).
leftovers() {
    mark=OX_TEST_RUN=$OX_TEST_RUN
    unset OX_TEST_RUN
    grep -lszxF "$mark" /proc/[0-9]*/environ | cut -d/ -f3
}

check_leftovers() {
    rm -f "$log"
    tries=0
    while [ -n "$(leftovers)$(ls -A "$TMPDIR")" ] && [ $tries -lt 50 ]; do
        sleep 0.1 # what was told to end is given five seconds for it
        tries=$((tries + 1))
    done
    for pid in $(leftovers); do
        echo "left running: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
        kill -KILL "$pid" 2>/dev/null
        failed=$((failed + 1))
    done
    for file in "$TMPDIR"/* "$TMPDIR"/.[!.]*; do
        [ -e "$file" ] || continue
        echo "left behind: $file"
        failed=$((failed + 1))
    done
}

[ $# -gt 0 ] || set -- unit integration fuzz interop fault bench
for name in "$@"; do
    run_named "$name"
done
check_leftovers

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
