#!/bin/sh
# Looks at the source with what tools there are: sh tests/support/lint.sh FILE.c...
#
# clang-format must agree, and is needed. The others look when they are installed, each with
# a set of checks that the source passes whole: cppcheck, clang-tidy, shellcheck, and luac for
# names that a script uses without having them. Rules of the project's own are tests
# (tests/unit/test_source.c) and run in `make test`.
set -u
cd "$(dirname "$0")/../.." || exit 2
status=0

# check TOOL COMMAND...: says how it went; what it found is its own output.
check() {
    tool=$1
    shift
    if "$@"; then
        echo "ok      $tool"
    else
        echo "FAILED  $tool"
        status=1
    fi
}

have() {
    command -v "$1" >/dev/null 2>&1 || { echo "skipped $1: not installed"; return 1; }
}

# Source files alone: a header is seen with those that include it.
sources=
for file in "$@"; do
    case $file in *.c) sources="$sources $file" ;; esac
done

formatted() {
    wrong=0
    for file in "$@"; do
        clang-format "$file" | cmp -s - "$file" || {
            echo "$file: not as clang-format has it: make fmt"
            wrong=1
        }
    done
    [ "$wrong" -eq 0 ]
}

# Left out are the checks that follow an error code from file to file, which they cannot see:
# they take every checked result for an unchecked one.
tidy_checks='-*,
clang-analyzer-unix.*, -clang-analyzer-unix.Malloc, clang-analyzer-deadcode.*,
clang-analyzer-core.DivideZero, clang-analyzer-core.StackAddressEscape,
clang-analyzer-core.uninitialized.*, bugprone-sizeof-*,
bugprone-macro-repeated-side-effects, bugprone-misplaced-*, bugprone-posix-return,
bugprone-signal-handler, bugprone-string-literal-with-embedded-nul,
bugprone-suspicious-memset-usage,
bugprone-suspicious-semicolon, bugprone-swapped-arguments, bugprone-terminating-continue,
misc-redundant-expression'

tidy() {
    flags="-std=c11 -D_GNU_SOURCE -Ilib/include -Ilib -I. -Iworker -Itests/support -Ibuild/gen"
    flags="$flags $(pkg-config --cflags hiredis libuv jansson glib-2.0 vips cmocka)"
    # Words split on purpose, here and below: lists of files and flags.
    # shellcheck disable=SC2086
    clang-tidy --quiet --warnings-as-errors='*' --checks="$(echo "$tidy_checks" | tr -d ' \n')" \
        $sources -- -DOX_VERSION_TEXT='"0"' $flags 2>/dev/null | grep 'error:' >"$found"
    cat "$found"
    [ ! -s "$found" ]
}

cpp_check() {
    # shellcheck disable=SC2086
    cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning \
        --inline-suppr --suppress=missingInclude --suppress=unknownMacro --suppress=ctuuninitvar \
        -D_GNU_SOURCE -DOX_VERSION_TEXT='"0"' -D__GNUC__=12 \
        -Ilib/include -Ilib -I. -Iworker -Itests/support $sources
}

# A global of Lua 5.1 that no script environment of Redis has is a name that was forgotten,
# and would fail only when its line runs. Reads the scripts as the build puts them together.
lua_globals() {
    wrong=0
    for script in build/gen/lua/*.lua; do
        [ -e "$script" ] || { echo "no scripts under build/gen/lua: run make"; return 1; }
        "$luac" -l -p "$script" | sed -n 's/.*\([GS]ETGLOBAL\).*; \(.*\)/\1 \2/p' |
            grep -vxE 'GETGLOBAL (KEYS|ARGV|redis|cjson|math|string|table|tonumber|tostring|type|ipairs|pairs|next|unpack|select|error|pcall)' |
            sed "s|^|$script: |" >"$found"
        [ ! -s "$found" ] || wrong=1
        cat "$found"
    done
    [ "$wrong" -eq 0 ]
}

found=$(mktemp)
trap 'rm -f "$found"' EXIT

if have clang-format; then
    check clang-format formatted "$@"
else
    status=1
fi
! have cppcheck || check cppcheck cpp_check
! have clang-tidy || check clang-tidy tidy
# SC2317: functions here are called through `check`. SC3013: -nt and -ot, which dash knows too.
! have shellcheck || check shellcheck shellcheck -s sh -e SC2317,SC3013 tests/run.sh tests/*/*.sh \
    docs/*.sh lib/lua/*.sh
luac=luac5.1
! have "$luac" || check "$luac" lua_globals
exit $status
