#!/bin/sh
# checksum.sh DIR - the SHA-256 of a file below DIR. The job's data is its path, as a string.
#
#   ox-worker 'sums=exec:./checksum.sh /srv/files'
#   ox add sums checksum '"reports/june.pdf"' --wait
#
# One program for each job: data on stdin, the return value on stdout, log rows on stderr, and
# the exit status says whether a job that failed may be tried again.
set -eu
cd "$1"

# The data is JSON. A path in it that needs no escapes is read without a parser.
read -r file || true
file=${file#\"}
file=${file%\"}
case /$file/ in
// | //* | */../* | *[\"\\]*)
    echo "not a path below $1: $file" >&2
    exit 65 # fails for good: the same data would be refused again
    ;;
esac
if [ ! -f "$file" ]; then
    echo "no such file: $file" >&2
    exit 75 # it may still come: tried again, as often as the job has attempts
fi

bytes=$(wc -c <"$file")
echo "attempt $OX_ATTEMPT of job $OX_JOB_ID: $bytes bytes" >&2
echo "ox:progress 10" >&2
sum=$(sha256sum <"$file") # a failure here ends the script, and the last row is the reason
printf '{"file": "%s", "bytes": %d, "sha256": "%s"}\n' "$file" "$bytes" "${sum%% *}"
