/*
 * frame.c - frames taken apart and put together; see frame.h for what they are.
 *
 * The reader is one growing buffer. Bytes are appended behind `used`, frames are taken from
 * `start`, and what is left of a frame moves to the front when room is needed. It starts
 * small, because most jobs are, doubles while a frame needs more, and goes back to small once
 * a large frame was used up, so that one large job does not stay in memory for good.
 */
#include "frame.h"

#include <glib.h>
#include <string.h>

#define SMALL_BYTES ((size_t)8192)
#define LARGE_BYTES ((size_t)256 << 10)

static const struct {
    enum frame_sender sender;
    uint32_t max_bytes;
} rules[FRAME_TYPE_COUNT] = {
#define FRAME_RULE(name, sender, max) [FRAME_##name] = { sender, max },
    FRAMES(FRAME_RULE)
#undef FRAME_RULE
};

void frame_reader_init(struct frame_reader *reader, enum frame_sender peer)
{
    *reader = (struct frame_reader){ .peer = peer };
}

void frame_reader_done(struct frame_reader *reader)
{
    g_free(reader->bytes);
    *reader = (struct frame_reader){ .peer = reader->peer };
}

/* Makes the buffer small again when nothing is left in it. */
static void shrink(struct frame_reader *reader)
{
    if (reader->start < reader->used) {
        return;
    }
    reader->start = reader->used = 0;
    if (reader->size > LARGE_BYTES) {
        g_clear_pointer(&reader->bytes, g_free);
        reader->size = 0;
    }
}

size_t frame_reader_room(struct frame_reader *reader, char **at)
{
    shrink(reader);
    if (reader->start > 0) {
        reader->used -= reader->start;
        memmove(reader->bytes, reader->bytes + reader->start, reader->used);
        reader->start = 0;
    }
    if (reader->used == reader->size) {
        reader->size = reader->size ? reader->size * 2 : SMALL_BYTES;
        reader->bytes = g_realloc(reader->bytes, reader->size);
    }
    *at = reader->bytes + reader->used;
    return reader->size - reader->used;
}

void frame_reader_filled(struct frame_reader *reader, size_t count)
{
    reader->used += count;
}

static const char *broken_rule(const struct frame_reader *reader, const struct frame_head *head)
{
    if (head->type == FRAME_NONE || head->type >= FRAME_TYPE_COUNT) {
        return "unknown type";
    }
    if (rules[head->type].sender != reader->peer) {
        return "type of the other side";
    }
    if (head->length == 0) {
        return "no text";
    }
    if (head->length > rules[head->type].max_bytes) {
        return "too large";
    }
    return NULL;
}

int frame_reader_next(struct frame_reader *reader, struct frame *out, const char **problem)
{
    struct frame_head head;
    size_t have = reader->used - reader->start;
    if (have < sizeof head) {
        return 0;
    }
    memcpy(&head, reader->bytes + reader->start, sizeof head);
    *problem = broken_rule(reader, &head);
    if (*problem != NULL) {
        return -1;
    }
    if (have - sizeof head < head.length) {
        return 0;
    }
    *out = (struct frame){
        .type = head.type,
        .serial = head.serial,
        .bytes = reader->bytes + reader->start + sizeof head,
        .length = head.length,
    };
    reader->start += sizeof head + head.length;
    return 1;
}

const char *frame_text(const struct frame *frame)
{
    const char *end = memchr(frame->bytes, '\0', frame->length);
    return end != NULL && end == frame->bytes + frame->length - 1 ? frame->bytes : NULL;
}

bool frame_parse_job(const struct frame *frame, struct frame_job *out)
{
    struct frame_job_head head;
    if (frame->length < sizeof head) {
        return false;
    }
    memcpy(&head, frame->bytes, sizeof head);
    uint64_t sum = (uint64_t)sizeof head + head.id_len + head.name_len + head.data_len + 3;
    if (sum != frame->length) {
        return false;
    }
    *out = (struct frame_job){
        .id_len = head.id_len,
        .name_len = head.name_len,
        .data_len = head.data_len,
        .attempt = head.attempt,
        .events = head.events,
        .deadline_ms = (int64_t)((uint64_t)head.deadline_high << 32 | head.deadline_low),
        .timestamp_ms = (int64_t)((uint64_t)head.timestamp_high << 32 | head.timestamp_low),
    };
    out->id = frame->bytes + sizeof head;
    out->name = out->id + out->id_len + 1;
    out->data = out->name + out->name_len + 1;
    return out->id[out->id_len] == '\0' && out->name[out->name_len] == '\0' &&
           out->data[out->data_len] == '\0';
}

bool frame_text_head(
    struct frame_head *head, enum frame_type type, uint32_t serial, size_t text_len)
{
    if (text_len >= rules[type].max_bytes) {
        return false;
    }
    *head = (struct frame_head){ (uint32_t)text_len + 1, type, serial };
    return true;
}

bool frame_job_heads(struct frame_job_out *out, uint32_t serial, const struct frame_job *job)
{
    const size_t max = FRAME_JOB_MAX - sizeof out->job - 3;
    if (job->id_len > max || job->name_len > max - job->id_len ||
        job->data_len > max - job->id_len - job->name_len) {
        return false;
    }
    size_t length = sizeof out->job + job->id_len + job->name_len + job->data_len + 3;
    out->head = (struct frame_head){ (uint32_t)length, FRAME_JOB, serial };
    out->job = (struct frame_job_head){ job->attempt, (uint32_t)job->id_len,
        (uint32_t)job->name_len, (uint32_t)job->data_len, job->events,
        (uint32_t)((uint64_t)job->deadline_ms >> 32), (uint32_t)job->deadline_ms,
        (uint32_t)((uint64_t)job->timestamp_ms >> 32), (uint32_t)job->timestamp_ms };
    return true;
}
