#!/bin/sh
# The demo: sh docs/demo.sh BUILD [FOLDER]
#
# Photos go in by `ox add`, a pool of workers compresses them, `ox` shows how it went; then an
# event goes to several queues, and many events into a database (demo_events.sh). All of it
# happens in the folder demo/, with a Redis of its own that `ox dev` starts. The photos are
# those of FOLDER, or six that are painted for the occasion. The results stay in demo/ until
# the next run; nothing is left running. OX_DEMO_DIR names another folder than demo/.
set -u

[ $# -ge 1 ] || { echo "usage: docs/demo.sh BUILD [FOLDER]" >&2; exit 2; }
cd "$(dirname "$0")/.." || exit 1
build=$(cd "$1" 2>/dev/null && pwd) || { echo "demo: no build folder $1: run make" >&2; exit 1; }
source=${2-}
PATH=$build:$PATH
demo=${OX_DEMO_DIR:-$PWD/demo}
photos=$demo/photos
limit_s=300 # for all jobs; only very many photos of one's own take long

fail() {
    echo "demo: $*" >&2
    exit 1
}

# ---- Start and stop -----------------------------------------------------------------------

dev=
tail=
stop() {
    [ -z "$tail" ] || kill "$tail" 2>/dev/null
    [ -n "$dev" ] || return 0
    kill -TERM "$dev" 2>/dev/null
    wait "$dev"
    status=$?
    dev=
    return $status
}
# A reader that has seen enough, as in `make demo | head`, ends the demo as Ctrl-C does.
trap 'stop >/dev/null' EXIT
trap 'exit 130' INT TERM HUP
trap 'exit 141' PIPE

fresh_folder() {
    # Only a folder that an earlier demo made is thrown away.
    [ ! -e "$demo" ] || [ -e "$demo/.made-by-ox-demo" ] ||
        fail "there is a folder $demo that is not mine; move it away first"
    rm -rf "$demo"
    mkdir -p "$photos/in" "$photos/out" || exit 1
    : >"$demo/.made-by-ox-demo"
}

start() {
    : >"$demo/dev.out" # the shell in the background may be late to make it
    ox dev --dir "$demo/redis" -- --config "$demo/market.conf" \
        >"$demo/dev.out" 2>"$demo/dev.log" &
    dev=$!
    tries=0
    until OX_REDIS_URL=$(grep -o -m 1 'unix://[^[:space:]]*' "$demo/dev.out"); do
        kill -0 "$dev" 2>/dev/null || { cat "$demo/dev.log" >&2; fail "ox dev has ended"; }
        [ $tries -lt 300 ] || { cat "$demo/dev.log" >&2; fail "ox dev does not start"; }
        sleep 0.1
        tries=$((tries + 1))
    done
    export OX_REDIS_URL
}

# ---- Photos and jobs ----------------------------------------------------------------------

get_photos() {
    if [ -z "$source" ]; then
        echo "Painting six photos of 12 megapixels ..."
        "$build/docs/make_photos" "$photos/in" 6 || exit 1
        return
    fi
    find "$source" -maxdepth 1 -type f \( -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.png' \
        -o -iname '*.webp' -o -iname '*.avif' -o -iname '*.heic' -o -iname '*.tif' \
        -o -iname '*.tiff' \) -exec cp {} "$photos/in/" \;
    [ -n "$(ls "$photos/in")" ] || fail "no photos in $source"
}

# A file name as JSON has it.
quoted() {
    printf %s "$1" | sed -e 's/[\\"]/\\&/g'
}

# Whether two photos differ in their endings only, as IMG_1.HEIC and IMG_1.JPG do.
same_stems() {
    for photo in "$photos"/in/*; do
        printf '%s\n' "${photo%.*}"
    done | sort | uniq -d | grep -q .
}

# What the files made of a photo begin with: its name without the ending, or with it where
# photos of one stem would write over each other's.
stem_of() {
    if [ -n "$whole_names" ]; then printf %s "$1"; else printf %s "${1%.*}"; fi
}

# The job's data for one photo: three variants, as a page of a shop needs them.
job_data() {
    in=$(quoted "$1")
    out=$(quoted "$(stem_of "$1")")
    cat <<JSON
{"input": "in/$in",
 "outputs": [
   {"file": "out/$out-1600.jpg", "width": 1600, "quality": 80},
   {"file": "out/$out-800.webp", "width": 800},
   {"file": "out/$out-card.jpg", "width": 320, "height": 240, "fit": "cover"}]}
JSON
}

add_jobs() {
    whole_names=
    ! same_stems || whole_names=yes
    for photo in "$photos"/in/*; do
        id=$(job_data "${photo##*/}" | ox add images compress -) || fail "ox add failed"
        printf '%s\t%s\n' "$id" "${photo##*/}"
    done >"$demo/jobs"
}

# A count by its state, or 0. In a pipe, ox prints "name<tab>number".
count_of() {
    ox counts images | awk -v state="$1" '$1 == state { n = $2 } END { print n + 0 }'
}

wait_for_jobs() {
    all=$(wc -l <"$demo/jobs")
    end=$(($(date +%s) + limit_s))
    shown=
    while :; do
        completed=$(count_of completed)
        failed=$(count_of failed)
        line="$completed of $all compressed, $(count_of active) being worked on"
        if [ -t 1 ]; then
            printf '\r%s ' "$line"
        elif [ "$line" != "$shown" ]; then
            echo "$line"
        fi
        shown=$line
        [ $((completed + failed)) -lt "$all" ] || break
        kill -0 "$dev" 2>/dev/null || { cat "$demo/dev.log" >&2; fail "ox dev has ended"; }
        [ "$(date +%s)" -lt $end ] || fail "the jobs did not end within $limit_s s"
        sleep 0.2
    done
    [ ! -t 1 ] || echo
}

# ---- What came of it ----------------------------------------------------------------------

bytes_of() {
    if [ -e "$1" ]; then wc -c <"$1"; else echo 0; fi
}

# field ID NAME: one field of a job.
field() {
    ox job images "$1" | sed -n "s/^$2	//p"
}

table() {
    while IFS='	' read -r id photo; do
        out=$photos/out/$(stem_of "$photo")
        printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$photo" "$(bytes_of "$photos/in/$photo")" \
            "$(bytes_of "$out-1600.jpg")" "$(bytes_of "$out-800.webp")" \
            "$(bytes_of "$out-card.jpg")" \
            $(($(field "$id" finishedOn) - $(field "$id" processedOn)))
    done <"$demo/jobs" | LC_ALL=C awk -F '\t' '
        # At most 22 bytes of a name, cut between characters.
        function short(name) {
            if (length(name) <= 22) return name
            end = 19
            while (substr(name, end + 1, 1) ~ /[\200-\277]/) end--
            return substr(name, 1, end) "..."
        }
        function size(bytes) {
            if (bytes >= 1e6) return sprintf("%.2f MB", bytes / 1e6)
            return sprintf("%.1f kB", bytes / 1e3)
        }
        function line(name, in_, jpeg, webp, card, ms) {
            printf row, short(name), size(in_), size(jpeg), size(webp), size(card), ms,
                sprintf("%.1f %%", 100 * (1 - (jpeg + webp + card) / in_))
        }
        BEGIN {
            row = "%-22s %9s %9s %9s %9s %7s %7s\n"
            printf row, "photo", "before", "JPEG 1600", "WebP 800", "card 320", "ms", "saved"
        }
        $3 * $4 * $5 == 0 { printf row, short($1), size($2), "-", "-", "-", $6, "failed"; next }
        {
            line($1, $2, $3, $4, $5, $6)
            for (i = 2; i <= 6; i++) sum[i] += $i
            count++
        }
        END { if (count > 1) line(count " photos", sum[2], sum[3], sum[4], sum[5], sum[6]) }'
}

# A word as a shell wants it.
typed() {
    case $1 in
    *[!A-Za-z0-9_./:=@-]*) printf " '%s'" "$1" ;;
    *) printf ' %s' "$1" ;;
    esac
}

# Shows a command as it is typed, then runs it.
show() {
    printf '\n$'
    for word; do
        typed "$word"
    done
    echo
    "$@" 2>&1
}

. docs/demo_events.sh

# ---- The demo -----------------------------------------------------------------------------

[ -z "$source" ] || [ -d "$source" ] || fail "PHOTOS=$source is no folder"
fresh_folder
get_photos
started=$(date +%s)
make_market
start
echo "ox dev runs a private Redis, and a worker for photos and a marketplace."

add_jobs
printf '\n%s\n%s\n\n' "One job a photo, added like this:" \
    "\$ ox add images compress '$(job_data "$(head -n 1 "$demo/jobs" | cut -f 2)")'"
wait_for_jobs
echo
table
echo "Originals are in ${demo#"$PWD"/}/photos/in, what was made of them in ${demo#"$PWD"/}/photos/out."

show ox counts images
show ox job images "$(head -n 1 "$demo/jobs" | cut -f 1)"

printf '\n%s\n' "A text file that calls itself a photo fails for good, with attempts left:"
echo "Dear diary, today I was a JPEG." >"$photos/in/diary.jpg"
data='{"input": "in/diary.jpg", "outputs": [{"file": "out/diary-800.webp", "width": 800}]}'
printf "\n$ ox add images compress '%s' --id diary --attempts 3 --wait\n" "$data"
ox add images compress "$data" --id diary --attempts 3 --wait=30s 2>&1
[ $? -eq 1 ] || fail "the diary should have failed"
show ox job images diary

failed_photos=$(($(count_of failed) - 1))
one_event_four_queues
clicks_into_the_database

stop || { cat "$demo/dev.log" >&2; fail "ox dev did not end well"; }
printf '\n%s\n' "Everything is stopped again. It took $(($(date +%s) - started)) s."
[ $failed_photos -eq 0 ] || fail "$failed_photos of $(wc -l <"$demo/jobs") photos could not be compressed"
