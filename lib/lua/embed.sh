#!/bin/sh
# embed.sh SOURCE-DIR OUT-DIR: turns SOURCE-DIR/*.lua into OUT-DIR/scripts.c and scripts.h, and
# SOURCE-DIR/codes.def into codes.h.
#
# A script names its inputs once, in comments at its top:
#
#   --@keys wait marker       keys of the queue, by suffix; Lua sees locals of that name, with
#                             '_' for '-' and ':' (and repeat_, since repeat is a keyword)
#   --@args base now          plain arguments, likewise
#   --@rest name data         what follows, repeated; `first` is the index in ARGV
#   --@include emit           functions of inc/emit.lua, each a `local function`
#   --@rare metrics.count_finished   one function of inc/metrics.lua (without the dot: the one
#                             that has the file's name). Lua makes the functions of a script
#                             anew at each call, so what is seldom needed costs one small
#                             function, which makes the real one and all that it needs.
#
#   --@each                   the script runs again for each of its runs when it fails for all of
#                             them, see inc/guard_each.lua
#   --@plain                  the script takes back by itself what it wrote
#
# What is in SOURCE-DIR/library becomes one library of Redis functions, ox_v1, for clients that
# do not have Ox. Of a script that its files name with --@library it has the whole, as a function
# of the script's name with the parameters KEYS and ARGV.
#
# Codes that both sides know (codes.def) are named in scripts; their values are put in place of the
# names here, so C and Lua cannot disagree and nothing is looked up at run time.
#
# Includes stand before the inputs, so that they cannot see them: a function uses its
# parameters, its own includes, and what inc/undo.lua has for all: `call`, `try` (redis.pcall),
# `raw` (redis.call), `guarded`. Comments are dropped. The same names reach C as a row, and op.c checks each argument against it.
#
# A script that fails half way has changed nothing: inc/undo.lua takes back what it wrote. Still,
# what others may have stored is read with care: numbers with tonumber(..) or a default, hashes
# of jobs with `try`, whose answer has a field `err` when the key is no hash.
set -eu
src=$1
out=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

words() { sed -n "s/^--@$2[[:space:]]*//p" "$1" | tr '\n' ' '; }

# Prints the includes of a file, dependencies first, each once. (Shell functions share their
# variables: after a call of itself this one looks at $1 only.)
includes() {
    for include in $(words "$1" include); do
        case " $seen " in *" $include "*) continue ;; esac
        seen="$seen $include"
        [ -f "$src/inc/$include.lua" ] || { echo "$1: no include '$include'" >&2; exit 1; }
        includes "$src/inc/$include.lua"
    done
    for rare in $(words "$1" rare); do
        case " $seen " in *" ${rare%.*} "*) continue ;; esac
        grep -qs "^local function ${rare#*.}(" "$src/inc/${rare%.*}.lua" ||
            { echo "$1: no function '$rare'" >&2; exit 1; }
        echo "local function ${rare#*.}(...)"
        (seen="$seen ${rare%.*}"; includes "$src/inc/${rare%.*}.lua")
        echo "return ${rare#*.}(...)"
        echo end
    done
    case $1 in "$src"/inc/*) code "$1" ;; esac
}

# A file without comments and empty lines, with the values of codes.
code() { sed -e '/^[[:space:]]*--/d' -e '/^[[:space:]]*$/d' -f "$tmp/codes.sed" "$1"; }

# locals TABLE NAME...: `local a, b = KEYS[1], KEYS[2]`
locals() {
    table=$1
    shift
    [ $# -gt 0 ] || return 0
    names='' values='' i=1
    for name; do
        names="$names${names:+, }$(echo "$name" | sed -e 's/[:-]/_/g' -e 's/^repeat$/repeat_/')"
        values="$values${values:+, }${table}[$i]"
        i=$((i + 1))
    done
    echo "local $names = $values"
}

# argument WANTED NAME...: the value of the argument of that name, or nil.
argument() {
    wanted=$1 i=0
    shift
    for name; do
        i=$((i + 1))
        [ "$name" != "$wanted" ] || { echo "ARGV[$i]"; return; }
    done
    echo nil
}

c_list() {
    printf 'static const char *const %s[] = { ' "$1"
    shift
    for name; do printf '"%s", ' "$name"; done
    echo 'NULL };'
}

sed -n 's|^\([A-Z_]*\) \([^ ]*\).*|s/\\<\1\\>/\2/g|p' "$src/codes.def" > "$tmp/codes.sed"

header=$tmp/scripts.h
source=$tmp/scripts.c
{
    echo '/* Made by lib/lua/embed.sh from lib/lua. */'
    echo '#ifndef OX_GEN_SCRIPTS_H'
    echo '#define OX_GEN_SCRIPTS_H'
    echo '#include "codes.h"'
    echo '#include "wire/script.h"'
} > "$header"
{
    echo '/* Made by lib/lua/embed.sh from lib/lua/codes.def. */'
    echo '#ifndef OX_GEN_CODES_H'
    echo '#define OX_GEN_CODES_H'
    sed -n 's|^\([A-Z_]*\) \([^ ]*\).*|#define OX__\1 (\2)|p' "$src/codes.def"
    echo '#endif'
} > "$tmp/codes.h"
{
    echo '/* Made by lib/lua/embed.sh from lib/lua. */'
    echo '#include "scripts.h"'
} > "$source"
rows=

mkdir -p "$out/lua"
for file in "$src"/*.lua; do
    script=$(basename "$file" .lua)
    body=$out/lua/$script.lua
    keys=$(words "$file" keys)
    args=$(words "$file" args)
    seen=
    {
        echo 'local raw, try, may = redis.call, redis.pcall, redis.acl_check_cmd'
        # shellcheck disable=SC2086
        echo "local of_group = $(argument group $args)"
        if ! grep -q '^--@plain' "$file"; then code "$src/inc/undo.lua"; fi
        if grep -q '^--@each' "$file"; then echo 'local runs, ended, done = 0, 0, 0'; fi
        if ! grep -q '^--@plain' "$file"; then echo 'local function main(only)'; fi
        includes "$file"
        # shellcheck disable=SC2086
        locals KEYS $keys
        # shellcheck disable=SC2086
        locals ARGV $args
        if grep -q '^--@rest' "$file"; then
            # shellcheck disable=SC2086
            set -- $args
            echo "local first = $(($# + 1))"
        fi
        code "$file"
        if grep -q '^--@plain' "$file"; then
            :
        elif grep -q '^--@each' "$file"; then
            echo end
            echo 'local ok, answer = pcall(main)'
            echo 'if not ok and runs > 0 then'
            code "$src/inc/raise_if_passing.lua"
            code "$src/inc/guard_each.lua"
            echo end
        else
            echo end
            echo 'local ok, answer = pcall(main)'
        fi
        if ! grep -q '^--@plain' "$file"; then code "$src/inc/answer.lua"; fi
    } > "$body"
    if sed 's/--.*//' "$body" | grep -nE '\<[A-Z]+_[A-Z_]+\>' >&2; then
        echo "$file: a code that codes.def does not have" >&2
        exit 1
    fi
    sha=$(sha1sum < "$body" | cut -c1-40)
    {
        # shellcheck disable=SC2086
        c_list "keys_$script" $keys
        # shellcheck disable=SC2086
        c_list "args_$script" $args
        echo "static const char source_${script}[] = {"
        od -An -v -tu1 "$body" | sed -e 's/\([0-9][0-9]*\)/\1,/g'
        echo '0 };'
        echo "const struct ox__script ox__script_$script = { \"$script\", source_$script,"
        echo "    sizeof(source_$script) - 1, \"$sha\", keys_$script, args_$script,"
        # shellcheck disable=SC2086
        echo "    $(set -- $keys; echo $#), $(set -- $args; echo $#) };"
    } >> "$source"
    echo "extern const struct ox__script ox__script_$script;" >> "$header"
    rows="$rows &ox__script_$script,"
done

library=$out/library.lua
{
    echo '#!lua name=ox_v1'
    # shellcheck disable=SC2013 # a name is a word
    for script in $(cat "$src"/library/*.lua | sed -n 's/^--@library[[:space:]]*//p' | sort -u); do
        echo "local function $script(KEYS, ARGV)"
        cat "$out/lua/$script.lua"
        echo end
    done
    for file in "$src"/library/*.lua; do code "$file"; done
} > "$library"
{
    echo 'const char ox__library[] = {'
    od -An -v -tu1 "$library" | sed -e 's/\([0-9][0-9]*\)/\1,/g'
    echo '0 };'
    echo 'const size_t ox__library_len = sizeof(ox__library) - 1;'
} >> "$source"
echo "const struct ox__script *const ox__scripts[] = {$rows NULL };" >> "$source"
{
    echo '/* All of them, ended by NULL. */'
    echo 'extern const struct ox__script *const ox__scripts[];'
    echo '/* The source of the library of Redis functions. */'
    echo 'extern const char ox__library[];'
    echo 'extern const size_t ox__library_len;'
    echo '#endif'
} >> "$header"
mv "$source" "$out/scripts.c"
mv "$tmp/codes.h" "$out/codes.h"
mv "$header" "$out/scripts.h"
