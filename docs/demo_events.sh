# The second part of the demo, which demo.sh reads: a car is posted, clicks come by the thousand.
#
# One event, four bound queues: photos, a database, a message to the seller, a log. Then clicks
# go through a stream into the database, in batches, while a tail shows purchases; then what was
# bought within the last hour becomes jobs of a new queue. OX_DEMO_CLICKS says how many clicks.
# shellcheck disable=SC2154 # demo.sh sets some

clicks=${OX_DEMO_CLICKS:-200000}
purchases=5
market=$demo/market.db

# A database with the tables, and the settings of the worker that fills them.
make_market() {
    sqlite3 "$market" <<'SQL' >/dev/null || fail "sqlite3 cannot make $market"
PRAGMA journal_mode = WAL;
CREATE TABLE cars (id INTEGER PRIMARY KEY, model TEXT, price INTEGER, event TEXT);
CREATE TABLE clicks (position TEXT PRIMARY KEY, page TEXT, at TEXT) WITHOUT ROWID;
SQL
    cat >"$demo/post-car.sql" <<'SQL'
INSERT INTO cars (id, model, price, event)
VALUES ($1 ->> '$.data.id', $1 ->> '$.data.model', $1 ->> '$.data.price', $1 ->> '$.id')
ON CONFLICT (id) DO UPDATE SET model = excluded.model, price = excluded.price
SQL
    cat >"$demo/store-clicks.sql" <<'SQL'
INSERT INTO clicks (position, page, at)
SELECT value ->> '$.position', value ->> '$.data.page', value ->> '$.time'
FROM json_each($1) WHERE true
ON CONFLICT (position) DO NOTHING
SQL
    cat >"$demo/tell-seller" <<'SH'
#!/bin/sh
# An exec handler: the event of the job on stdin, what is printed is the return value.
sed 's/.*"model":"\([^"]*\)".*/{"mail":"Your \1 is online."}/'
SH
    chmod +x "$demo/tell-seller"
    cat >"$demo/market.conf" <<INI
[handler images/*]
run = image
root = $photos
[handler listings/*]
run = sql:$demo/post-car.sql
db = sqlite:$market
[handler sellers/*]
run = exec:"$demo/tell-seller"
[handler log/*]
run = echo
[stream clicks]
group = warehouse
from = start
run = sql:$demo/store-clicks.sql
db = sqlite:$market
batch = 1000
INI
}

# value FIELD: one of a group of the stream clicks.
value() {
    ox group show warehouse --stream clicks | sed -n "s/^$1	//p"
}

# Seconds with two digits behind the point, since the epoch.
now() {
    date +%s.%N | cut -c 1-13
}

# rate COUNT BEGIN END
rate() {
    echo "$1 $2 $3" | awk '{ t = $3 - $2; if (t < 0.01) t = 0.01; printf "%.2f s\t%.0f/s\n", t, $1 / t }'
}

# wait_until WHAT COMMAND..: tries the command until it succeeds.
wait_until() {
    what=$1
    shift
    end=$(($(date +%s) + limit_s))
    until "$@"; do
        kill -0 "$dev" 2>/dev/null || { cat "$demo/dev.log" >&2; fail "ox dev has ended"; }
        [ "$(date +%s)" -lt $end ] || fail "$what: not within $limit_s s"
        sleep 0.1
    done
}

has_completed() {
    [ "$(ox counts "$1" 2>/dev/null | awk '$1 == "completed" { print $2 }')" = "$2" ]
}

all_stored() {
    [ "$(value lag)" = 0 ] && [ "$(value pending)" = 0 ]
}

# A photo that can be read, or nothing.
good_photo() {
    cut -f 2 "$demo/jobs" | while IFS= read -r name; do
        [ ! -s "$photos/out/$(stem_of "$name")-800.webp" ] || { printf %s "$name"; break; }
    done
}

one_event_four_queues() {
    photo=$(good_photo)
    [ -n "$photo" ] || return 0
    printf '\n%s\n' "A car is posted. Four queues are bound to what happens to cars:"
    show ox bind 'car.*' images
    show ox bind car.posted listings --attempts 5 --backoff exponential:1s
    show ox bind car.posted sellers
    show ox bind 'car.>' log
    data="{\"id\": 17, \"model\": \"Volvo Amazon\", \"price\": 9900, \"image\": {\"input\": \"in/$(quoted "$photo")\", \"outputs\": [{\"file\": \"out/posted.webp\", \"width\": 800}]}}"
    printf '\n%s\n' "It is published once, and each queue has its job:"
    show ox publish car.posted "$data" --subject 17 --id posted-17
    wait_until "the job of images" has_completed images $(($(wc -l <"$demo/jobs") + 1 - failed_photos))
    for queue in listings sellers log; do
        wait_until "the job of $queue" has_completed "$queue" 1
    done
    id=$(ox jobs sellers | cut -f 1)
    printf '\n%s\n' "images    $(bytes_of "$photos/out/posted.webp") bytes in out/posted.webp"
    echo "listings  $(sqlite3 "$market" 'SELECT id, model, price FROM cars')"
    echo "sellers   $(ox job sellers "$id" | sed -n 's/^returnvalue	//p')"
    echo "log       $(ox jobs log | cut -f 1)"
    printf '\n%s\n' "A second time nothing happens:"
    show ox publish car.posted "$data" --subject 17 --id posted-17
}

publish_clicks() {
    awk -v n="$clicks" 'BEGIN {
        for (i = 0; i < n; i++) printf "{\"page\":\"/cars/%d\",\"session\":\"s%05d\"}\n", i % 997, i % 5000
    }' >"$demo/clicks.jsonl"
    ox tail --stream clicks --type purchase --from start >"$demo/live" 2>/dev/null &
    tail=$!
    published_from=$(now)
    ox publish click --stream clicks --lines "$demo/clicks.jsonl" 2>"$demo/publish.log" &
    publisher=$!
    i=1
    while [ $i -le $purchases ]; do
        ox publish purchase "{\"car\": $i, \"price\": ${i}500}" --stream clicks --subject "$i" \
            >/dev/null || fail "ox publish failed"
        i=$((i + 1))
    done
    wait $publisher || { cat "$demo/publish.log" >&2; fail "ox publish failed"; }
    published_to=$(now)
    wait_until "the clicks" all_stored
    stored_to=$(now)
    live=0
    [ ! -s "$demo/live" ] || live=$(wc -l <"$demo/live")
    kill $tail
    wait $tail 2>/dev/null
    tail=
}

clicks_into_the_database() {
    printf '\n%s\n' "$clicks clicks go through a stream into SQLite, in batches of 1000, while a tail shows purchases:"
    printf '\n$ ox tail --stream clicks --type purchase &\n'
    printf '$ ox publish purchase ...\n'
    printf '$ ox publish click --stream clicks --lines clicks.jsonl\n'
    publish_clicks
    cut -f 1-3 "$demo/live"
    cat "$demo/publish.log"
    show ox group show warehouse --stream clicks
    printf '\n%s\n' "A new queue gets what was bought within the last hour:"
    replay_from=$(now)
    show ox replay receipts --stream clicks --from 1h --type purchase
    replay_to=$(now)
    rows=$(sqlite3 "$market" "SELECT count(*) FROM clicks")
    receipts=$(ox counts receipts | awk '$1 == "waiting" { print $2 }')
    {
        printf 'what\tevents\ttime\trate\n'
        printf 'published\t%s\t%s\n' "$((clicks + purchases))" "$(rate "$clicks" "$published_from" "$published_to")"
        printf 'stored in SQLite\t%s\t%s\n' "$rows" "$(rate "$rows" "$published_from" "$stored_to")"
        printf 'purchases seen live\t%s\t\t\n' "$live"
        printf 'read by the replay\t%s\t%s\n' "$((clicks + purchases))" "$(rate "$((clicks + purchases))" "$replay_from" "$replay_to")"
        printf 'jobs of the replay\t%s\t\t\n' "$receipts"
    } | awk -F '\t' '{ printf "%-22s %9s %9s %11s\n", $1, $2, $3, $4 }' >"$demo/rates"
    echo
    cat "$demo/rates"
    [ "$rows" -eq $((clicks + purchases)) ] || fail "$rows of $((clicks + purchases)) events are in SQLite"
    [ "$live" -eq $purchases ] || fail "the tail showed $live of $purchases purchases"
    [ "$receipts" -eq $purchases ] || fail "the replay made $receipts of $purchases jobs"
}
