#!/usr/bin/env python3
# notify.py MBOX - delivers notes to a mailbox: {"to": "ann@example.com", "text": "..."}
#
#   ox-worker --mode stream 'notes=exec:./notify.py /var/mail/notes'
#
# One program for many jobs: a line of JSON in for each, lines of JSON out. What is printed must
# leave at once, so it is flushed; stdout is for answers only, stderr for everything else.
import email.message
import json
import mailbox
import sys


def answer(job, **members):
    print(json.dumps({"id": job["id"], **members}), flush=True)


def deliver(job):
    note = email.message.EmailMessage()
    note["To"], note["Message-ID"] = job["data"]["to"], f"<{job['queue']}.{job['id']}@ox>"
    note.set_content(job["data"]["text"])
    box = mailbox.mbox(sys.argv[1])
    box.lock()  # against the programs of this worker's other slots
    try:
        # Delivery of jobs is at least once: a note that is there already is not sent twice.
        if any(old["Message-ID"] == note["Message-ID"] for old in box):
            return "was there"
        box.add(note)
        box.flush()
        return "delivered"
    finally:
        box.close()


for line in sys.stdin:
    job = json.loads(line)
    if "@" not in job["data"].get("to", ""):
        answer(job, error="no such address", retry=False)
        continue
    try:
        answer(job, result=deliver(job))
    except Exception as problem:
        answer(job, error=f"{type(problem).__name__}: {problem}")
