/*
 * fuzz_worker_frame.c - the bytes that the worker's parent and its children send each other.
 *
 * Input: a letter, p for frames of the parent and c for those of a child, then a byte for the
 * size of the pieces in which the stream comes, then the stream. What the reader hands out
 * lies inside the stream, in its order, and the heads that the writer makes of it are those
 * that it had.
 */
#include "fuzz.h"

#include "worker/frame.h"

static void check_job(const struct frame *frame)
{
    struct frame_job job;
    struct frame_job_out out;
    if (!frame_parse_job(frame, &job)) {
        return;
    }
    expect(memchr(job.id, '\0', job.id_len + 1) != NULL);
    expect(job.id[job.id_len] == '\0' && job.name[job.name_len] == '\0' &&
           job.data[job.data_len] == '\0');
    expect(job.data + job.data_len + 1 == frame->bytes + frame->length);
    expect(frame_job_heads(&out, frame->serial, &job));
    expect(out.head.length == frame->length && out.head.type == FRAME_JOB);
    expect(memcmp(&out.job, frame->bytes, sizeof(out.job)) == 0);
}

static void check_text(const struct frame *frame)
{
    struct frame_head head;
    const char *text = frame_text(frame);
    if (text != NULL) {
        expect(strlen(text) + 1 == frame->length);
        expect(frame_text_head(&head, frame->type, frame->serial, strlen(text)));
        expect(head.length == frame->length && head.serial == frame->serial);
    }
}

/* Takes the frames that are whole. `at` is where in the stream the next one begins. */
static bool take_frames(struct frame_reader *reader, const uint8_t *stream, size_t *at)
{
    struct frame frame;
    const char *problem = NULL;
    int rc;
    while ((rc = frame_reader_next(reader, &frame, &problem)) > 0) {
        *at += sizeof(struct frame_head);
        expect(memcmp(frame.bytes, stream + *at, frame.length) == 0);
        *at += frame.length;
        if (frame.type == FRAME_JOB) {
            check_job(&frame);
        } else {
            check_text(&frame);
        }
    }
    expect(rc == 0 || (problem != NULL && *problem != '\0'));
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_reader reader;
    size_t step, fed = 0, at = 0;
    if (size < 2 || (data[0] != 'p' && data[0] != 'c')) {
        return 0;
    }
    step = (size_t)data[1] + 1;
    frame_reader_init(&reader, data[0] == 'p' ? FROM_PARENT : FROM_CHILD);
    data += 2;
    size -= 2;
    do {
        char *to;
        size_t room = frame_reader_room(&reader, &to);
        expect(room > 0);
        room = room < step ? room : step;
        room = room < size - fed ? room : size - fed;
        memcpy(to, data + fed, room);
        frame_reader_filled(&reader, room);
        fed += room;
    } while (take_frames(&reader, data, &at) && fed < size);
    expect(at <= fed);
    frame_reader_done(&reader);
    return 0;
}
