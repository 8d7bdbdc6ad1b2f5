#!/bin/sh
# Fuzzes: sh tests/fuzz/run.sh BUILD SECONDS [NAME...]
#
# Runs each target (or those named: json, cron ..) that `make fuzz` has built in BUILD for
# SECONDS, as many at once as there are processors. They start from tests/fuzz/corpus and from
# what earlier runs found worth keeping, in BUILD/corpus. One line a target; one that objects
# fails the run, and its input is kept in BUILD/found: give it to the target as an argument to
# see it again, mend the code, and put it into tests/fuzz/corpus.
set -u

# One target. Its whole output is shown only when it failed.
run_one() {
    build=$1 seconds=$2 name=$3
    log=$build/logs/$name.log
    mkdir -p "$build/logs" "$build/found" "$build/corpus/$name"
    start=$(date +%s)
    # A reply may announce gigabytes: hiredis asks for them and is refused.
    ASAN_OPTIONS="allocator_may_return_null=1:max_allocation_size_mb=512${ASAN_OPTIONS:+:$ASAN_OPTIONS}" \
        UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}" \
        LSAN_OPTIONS="print_suppressions=0${LSAN_OPTIONS:+:$LSAN_OPTIONS}" \
        "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -max_len=4096 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$build/found/$name-" \
        "$build/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1 </dev/null
    status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/^#[0-9]*[[:space:]].* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-14s %4d s %12s runs %6s edges  %s\n' "$name" $(($(date +%s) - start)) \
        "${runs:-?}" "${edges:-?}" "$([ $status -eq 0 ] && echo ok || echo "FAILED ($status)")"
    [ $status -eq 0 ] || grep -v '^#' "$log"
    return $status
}

if [ "${1-}" = --one ]; then
    shift
    run_one "$@"
    exit
fi
[ $# -ge 2 ] || { echo "usage: tests/fuzz/run.sh BUILD SECONDS [NAME...]" >&2; exit 2; }
cd "$(dirname "$0")/../.." || exit 2
build=$(cd "$1" && pwd) || exit 2
seconds=$2
shift 2

if [ $# -eq 0 ]; then
    for source in tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        set -- "$@" "${name#fuzz_}"
    done
fi
for name; do
    [ -x "$build/tests/fuzz/fuzz_$name" ] || { echo "there is no fuzz target $name" >&2; exit 2; }
done
printf '%s\n' "$@" | xargs -n 1 -P "$(nproc)" sh tests/fuzz/run.sh --one "$build" "$seconds"
