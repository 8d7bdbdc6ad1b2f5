#!/bin/sh
# Looks at the source with what tools there are: sh tests/support/lint.sh FILE.c...
#
# clang-format must agree, and is needed. The others look when they are installed, each with
# a set of checks that the source passes whole: cppcheck, clang-tidy, clang-query (pointers are
# compared with NULL), shellcheck, and luac for names that a script uses without having them. Rules of the project's own are tests
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

# Source files alone: a header is seen with those that include it. The programs and the library
# have one style; tests are shorter.
own='' tests=''
for file in "$@"; do
    case $file in
    lib/*.c | cli/*.c | worker/*.c) own="$own $file" ;;
    *.c) tests="$tests $file" ;;
    esac
done
sources="$own $tests"

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
# they take every checked result for an unchecked one; and one that takes the size of a pointer,
# which GLib's g_clear_pointer() asks for, for a mistake.
tidy_checks='-*,
clang-analyzer-unix.*, -clang-analyzer-unix.Malloc, clang-analyzer-deadcode.*,
clang-analyzer-core.DivideZero, clang-analyzer-core.StackAddressEscape,
clang-analyzer-core.uninitialized.*, bugprone-sizeof-*, -bugprone-sizeof-expression,
bugprone-macro-repeated-side-effects, bugprone-misplaced-*, bugprone-posix-return,
bugprone-signal-handler, bugprone-string-literal-with-embedded-nul,
bugprone-suspicious-memset-usage,
bugprone-suspicious-semicolon, bugprone-swapped-arguments, bugprone-terminating-continue,
misc-redundant-expression'

flags="-std=c11 -D_GNU_SOURCE"
flags="$flags -Ilib/include -Ilib -I. -Iworker -Itests/support -Ibuild/gen"
flags="$flags $(pkg-config --cflags hiredis libuv jansson openssl zlib glib-2.0 vips libpq sqlite3 cmocka)"

# over "FILES" COMMAND...: the command on a few files at a time, on all processors, with the
# compiler's flags at its end; what it says comes in one piece.
over() {
    files=$1
    shift
    # Words split on purpose, here and below: lists of files and flags.
    # shellcheck disable=SC2086,SC2016
    printf '%s\n' $files | FLAGS=$flags xargs -P "$(nproc)" -n 6 sh -c '
        command=$1
        shift
        said=$(eval "$command \"\$@\" -- $FLAGS" 2>/dev/null)
        printf "%s\n" "$said"' sh "$*"
}

tidy() {
    checks=$(echo "$tidy_checks" | tr -d ' \n')
    {
        over "$own" clang-tidy --quiet "'--warnings-as-errors=*'" \
            "'--checks=$checks,readability-braces-around-statements'"
        over "$tests" clang-tidy --quiet "'--warnings-as-errors=*'" "'--checks=$checks'"
    } | grep 'error:' >"$found"
    cat "$found"
    [ ! -s "$found" ]
}

# Conditions that are pointers. What a macro of a library compares is not ours.
null_query='set output diag
set bind-root false
match unaryOperator(isExpansionInMainFile(), hasOperatorName("!"), hasUnaryOperand(POINTER))
match ifStmt(isExpansionInMainFile(), hasCondition(POINTER))
match whileStmt(isExpansionInMainFile(), hasCondition(POINTER))
match forStmt(isExpansionInMainFile(), hasCondition(POINTER))
match conditionalOperator(isExpansionInMainFile(), hasCondition(POINTER))
match binaryOperator(isExpansionInMainFile(), hasAnyOperatorName("&&", "||"), hasLHS(POINTER))
match binaryOperator(isExpansionInMainFile(), hasAnyOperatorName("&&", "||"), hasRHS(POINTER))
match implicitCastExpr(isExpansionInMainFile(), hasCastKind("PointerToBoolean"), hasSourceExpression(POINTER))'

null_compared() {
    echo "$null_query" |
        sed 's/POINTER/expr(hasType(hasCanonicalType(pointerType()))).bind("p")/' >"$query"
    over "$own" clang-query -f "$query" | awk '
        /note: "p" binds here/ { place = $1; split(place, part, ":"); next }
        place != "" {
            from = substr($0, part[3])
            if (from !~ /^(json_is_|g_clear_(pointer|object))/ && $0 !~ /json_(object|array)_foreach/)
                print place " compare the pointer with NULL: " from
            place = ""
        }' | sort -u >"$found"
    cat "$found"
    [ ! -s "$found" ]
}

cpp_check() {
    # shellcheck disable=SC2086
    cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning \
        --inline-suppr --suppress=missingInclude --suppress=unknownMacro --suppress=ctuuninitvar \
        -D_GNU_SOURCE -D__GNUC__=12 \
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

found=$(mktemp) query=$(mktemp)
trap 'rm -f "$found" "$query"' EXIT

if have clang-format; then
    check clang-format formatted "$@"
else
    status=1
fi
! have cppcheck || check cppcheck cpp_check
! have clang-tidy || check clang-tidy tidy
! have clang-query || check clang-query null_compared
# SC2317: functions here are called through `check`. SC3013: -nt and -ot, which dash knows too.
! have shellcheck || check shellcheck shellcheck -s sh -e SC2317,SC3013 tests/run.sh tests/*/*.sh \
    docs/*.sh lib/lua/*.sh
luac=luac5.1
! have "$luac" || check "$luac" lua_globals
exit $status
