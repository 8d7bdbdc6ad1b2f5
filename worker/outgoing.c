/*
 * outgoing.c - see outgoing.h.
 */
#include "outgoing.h"

#include <glib.h>

static void on_written(uv_write_t *write, int status)
{
    struct outgoing *outgoing = write->data;
    (void)status;
    outgoing->writing = false;
}

/* libuv only reads from it. */
static uv_buf_t piece(const void *bytes, size_t length)
{
    return (uv_buf_t){ .base = (char *)(uintptr_t)bytes, .len = length };
}

/* Takes `count` bytes from the front; returns how many pieces are used up. */
static unsigned skip(uv_buf_t *pieces, unsigned piece_count, size_t count)
{
    unsigned used = 0;
    while (used < piece_count && count >= pieces[used].len) {
        count -= pieces[used++].len;
    }
    if (used < piece_count) {
        pieces[used].base += count;
        pieces[used].len -= count;
    }
    return used;
}

/* Mostly all of it goes at once. That is tried first because a request, even one that is done
 * right away, costs libuv another system call. A write that fails is left to the request as
 * well, and that to the news of the child's death: such a child is dying. */
static void send_pieces(
    struct outgoing *outgoing, uv_stream_t *stream, uv_buf_t *pieces, unsigned count)
{
    int sent = uv_try_write(stream, pieces, count);
    unsigned used = skip(pieces, count, sent > 0 ? (size_t)sent : 0);
    if (used == count) {
        return;
    }
    outgoing->writing = true;
    outgoing->write.data = outgoing;
    uv_write(&outgoing->write, stream, pieces + used, count - used, on_written);
}

bool outgoing_fits(struct outgoing *outgoing, uint32_t serial, const struct frame_job *job)
{
    return frame_job_heads(&outgoing->heads, serial, job);
}

void outgoing_send(struct outgoing *outgoing, uv_stream_t *stream, const struct frame_job *job)
{
    uv_buf_t pieces[] = {
        piece(&outgoing->heads, sizeof outgoing->heads),
        piece(job->id, job->id_len + 1),
        piece(job->name, job->name_len + 1),
        piece(job->data, job->data_len + 1),
    };
    send_pieces(outgoing, stream, pieces, G_N_ELEMENTS(pieces));
}
