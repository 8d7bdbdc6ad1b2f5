/* ends.c - the ends of runs that no call has carried yet; see ends.h. */
#include "engine/ends.h"

#include <string.h>

#define KEEP_BYTES ((size_t)256 * 1024)

void ox__ends_done(struct ox__ends *ends)
{
    ox__buf_done(&ends->bytes);
}

void ox__ends_put(struct ox__buf *out, const char *text, size_t len)
{
    ox__buf_char(out, '$');
    ox__buf_int(out, (int64_t)len);
    ox__buf_put(out, "\r\n", 2);
    ox__buf_put(out, text, len);
    ox__buf_put(out, "\r\n", 2);
}

/* `len` is where the end begins, until it is committed. */
void ox__ends_begin(struct ox__ends *ends, struct ox__run *run)
{
    run->end.len = ends->bytes.len;
    run->end.argc = run->end.head_argc = run->end.head_len = 0;
}

void ox__ends_arg(struct ox__ends *ends, struct ox__run *run, const char *text, size_t len)
{
    ox__ends_put(&ends->bytes, text, len);
    run->end.argc++;
}

void ox__ends_head(struct ox__ends *ends, struct ox__run *run)
{
    run->end.head_len = ends->bytes.len - run->end.len;
    run->end.head_argc = run->end.argc;
}

bool ox__ends_commit(struct ox__ends *ends, struct ox__run *run)
{
    size_t begin = run->end.len;
    run->end.len = ends->bytes.len - begin;
    if (ends->bytes.failed) {
        ends->bytes.len = begin;
        ends->bytes.failed = false;
        return false;
    }
    ox__run_list_push(&ends->runs, run);
    return true;
}

void ox__ends_move(
    struct ox__ends *ends, struct ox__op *op, bool without_head, struct ox__run_list *sent)
{
    struct ox__run *run = ends->runs.head;
    struct ox__run_end *end = &run->end;
    end->sent_at = op->bytes.len;
    end->skipped = without_head ? end->head_len : 0;
    op->argc += end->argc - (without_head ? end->head_argc : 0);
    ox__buf_put(
        &op->bytes, ends->bytes.data + ends->at + end->skipped, end->len - end->skipped);
    ends->at += end->len;
    ox__run_list_remove(&ends->runs, run);
    ox__run_list_push(sent, run);
}

/* They may be written as fast as they are sent for as long as the engine lives. */
void ox__ends_drop_sent(struct ox__ends *ends)
{
    struct ox__buf *bytes = &ends->bytes;
    if (ends->runs.count == 0) {
        ox__buf_reset(bytes, KEEP_BYTES);
        ends->at = 0;
    } else if (ends->at > bytes->len / 2) {
        memmove(bytes->data, bytes->data + ends->at, bytes->len - ends->at);
        bytes->len -= ends->at;
        ends->at = 0;
    }
}

bool ox__ends_again(struct ox__ends *ends, struct ox__run *run)
{
    struct ox__buf *out = &ends->bytes;
    size_t before = out->len;
    ox__buf_put(out, run->end.kept.data, run->end.kept.len);
    ox__buf_done(&run->end.kept);
    if (out->failed) {
        out->len = before;
        out->failed = false;
        return false;
    }
    ox__run_list_push(&ends->runs, run);
    return true;
}
