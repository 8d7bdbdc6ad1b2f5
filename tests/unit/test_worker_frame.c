/*
 * Frames: what is written comes out again however the bytes are cut, and what breaks a rule
 * is refused before memory is spent on it.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "worker/frame.h"

static void feed(struct frame_reader *reader, const void *bytes, size_t count)
{
    while (count > 0) {
        char *at;
        size_t room = frame_reader_room(reader, &at), part = MIN(room, count);
        memcpy(at, bytes, part);
        frame_reader_filled(reader, part);
        bytes = (const char *)bytes + part;
        count -= part;
    }
}

static GString *text_frame(enum frame_type type, uint32_t serial, const char *text)
{
    GString *bytes = g_string_new(NULL);
    struct frame_head head;
    assert_true(frame_text_head(&head, type, serial, strlen(text)));
    g_string_append_len(bytes, (const char *)&head, sizeof head);
    g_string_append_len(bytes, text, (gssize)strlen(text) + 1);
    return bytes;
}

static GString *job_frame(uint32_t serial, const struct frame_job *job)
{
    GString *bytes = g_string_new(NULL);
    struct frame_job_out heads;
    assert_true(frame_job_heads(&heads, serial, job));
    g_string_append_len(bytes, (const char *)&heads, sizeof heads);
    g_string_append_len(bytes, job->id, (gssize)job->id_len + 1);
    g_string_append_len(bytes, job->name, (gssize)job->name_len + 1);
    g_string_append_len(bytes, job->data, (gssize)job->data_len + 1);
    return bytes;
}

static void decodes_frames_split_anywhere(void **state)
{
    (void)state;
    g_autoptr(GString) bytes = text_frame(FRAME_LOG, 7, "a row");
    g_autoptr(GString) second = text_frame(FRAME_DONE, 8, "");
    g_string_append_len(bytes, second->str, (gssize)second->len);
    for (size_t cut = 0; cut <= bytes->len; cut++) {
        struct frame_reader reader;
        struct frame frame;
        const char *problem;
        GString *seen = g_string_new(NULL);
        frame_reader_init(&reader, FROM_CHILD);
        for (int half = 0; half < 2; half++) {
            feed(&reader, bytes->str + (half ? cut : 0), half ? bytes->len - cut : cut);
            while (frame_reader_next(&reader, &frame, &problem) > 0)
                g_string_append_printf(
                    seen, "%u:%u:%s;", frame.type, frame.serial, frame_text(&frame));
        }
        g_autofree char *wanted = g_strdup_printf("%d:7:a row;%d:8:;", FRAME_LOG, FRAME_DONE);
        assert_string_equal(seen->str, wanted);
        g_string_free(seen, TRUE);
        frame_reader_done(&reader);
    }
}

static void decodes_job_byte_by_byte(void **state)
{
    (void)state;
    const struct frame_job job = { .id = "42",
        .id_len = 2,
        .name = "",
        .name_len = 0,
        .data = "{\"a\":1}",
        .data_len = 7,
        .attempt = 3,
        .events = 5,
        .deadline_ms = 1764374400123,
        .timestamp_ms = 1764374400121 };
    g_autoptr(GString) bytes = job_frame(9, &job);
    struct frame_reader reader;
    struct frame frame;
    struct frame_job got;
    const char *problem;
    frame_reader_init(&reader, FROM_PARENT);
    for (size_t i = 0; i < bytes->len; i++) {
        assert_int_equal(frame_reader_next(&reader, &frame, &problem), 0);
        feed(&reader, bytes->str + i, 1);
    }
    assert_int_equal(frame_reader_next(&reader, &frame, &problem), 1);
    assert_int_equal(frame.serial, 9);
    assert_true(frame_parse_job(&frame, &got));
    assert_string_equal(got.id, "42");
    assert_string_equal(got.name, "");
    assert_string_equal(got.data, "{\"a\":1}");
    assert_int_equal(got.data_len, 7);
    assert_int_equal(got.attempt, 3);
    assert_int_equal(got.events, 5);
    assert_int_equal(got.deadline_ms, 1764374400123);
    assert_int_equal(got.timestamp_ms, 1764374400121);
    frame_reader_done(&reader);
}

static void a_large_job_leaves_no_large_buffer(void **state)
{
    (void)state;
    const size_t large = (size_t)5 << 20;
    g_autofree char *data = g_strnfill(large, 'x');
    const struct frame_job job = { .id = "1",
        .id_len = 1,
        .name = "n",
        .name_len = 1,
        .data = data,
        .data_len = large,
        .attempt = 1 };
    g_autoptr(GString) bytes = job_frame(1, &job);
    struct frame_reader reader;
    struct frame frame;
    struct frame_job got;
    const char *problem;
    char *at;
    frame_reader_init(&reader, FROM_PARENT);
    feed(&reader, bytes->str, bytes->len);
    assert_int_equal(frame_reader_next(&reader, &frame, &problem), 1);
    assert_true(frame_parse_job(&frame, &got));
    assert_int_equal(strlen(got.data), large);
    frame_reader_room(&reader, &at);
    assert_true(reader.size < (size_t)64 << 10);
    frame_reader_done(&reader);
}

/* What a reader of a child's frames says to this head. */
static void assert_refused(struct frame_head head, const char *why)
{
    struct frame_reader reader;
    struct frame frame;
    const char *problem = NULL;
    frame_reader_init(&reader, FROM_CHILD);
    feed(&reader, &head, sizeof head);
    assert_int_equal(frame_reader_next(&reader, &frame, &problem), -1);
    assert_string_equal(problem, why);
    frame_reader_done(&reader);
}

static void rejects_bad_frame_heads(void **state)
{
    (void)state;
    assert_refused((struct frame_head){ 1, FRAME_NONE, 0 }, "unknown type");
    assert_refused((struct frame_head){ 1, FRAME_TYPE_COUNT, 0 }, "unknown type");
    assert_refused((struct frame_head){ 1, UINT32_MAX, 0 }, "unknown type");
    assert_refused((struct frame_head){ 1, FRAME_JOB, 0 }, "type of the other side");
    assert_refused((struct frame_head){ 0, FRAME_DONE, 0 }, "no text");
    assert_refused((struct frame_head){ FRAME_TEXT_MAX + 1, FRAME_LOG, 0 }, "too large");
    assert_refused((struct frame_head){ FRAME_RESULT_MAX + 1, FRAME_DONE, 0 }, "too large");
    assert_refused((struct frame_head){ UINT32_MAX, FRAME_DONE, 0 }, "too large");
}

static void allocates_only_for_received_bytes(void **state)
{
    (void)state;
    const struct frame_head head = { FRAME_RESULT_MAX, FRAME_DONE, 1 };
    struct frame_reader reader;
    struct frame frame;
    const char *problem;
    frame_reader_init(&reader, FROM_CHILD);
    feed(&reader, &head, sizeof head);
    feed(&reader, "abc", 3);
    assert_int_equal(frame_reader_next(&reader, &frame, &problem), 0);
    assert_true(reader.size < (size_t)64 << 10);
    frame_reader_done(&reader);
}

static void texts_end_in_their_only_nul(void **state)
{
    (void)state;
    assert_string_equal(frame_text(&(struct frame){ .bytes = "ab", .length = 3 }), "ab");
    assert_string_equal(frame_text(&(struct frame){ .bytes = "", .length = 1 }), "");
    assert_null(frame_text(&(struct frame){ .bytes = "ab", .length = 2 }));
    assert_null(frame_text(&(struct frame){ .bytes = "a\0b", .length = 4 }));
}

static void limits_sent_frames(void **state)
{
    (void)state;
    struct frame_head head;
    struct frame_job_out heads;
    assert_true(frame_text_head(&head, FRAME_LOG, 1, FRAME_TEXT_MAX - 1));
    assert_int_equal(head.length, FRAME_TEXT_MAX);
    assert_false(frame_text_head(&head, FRAME_LOG, 1, FRAME_TEXT_MAX));
    struct frame_job job = { .id_len = 1, .name_len = 1, .data_len = FRAME_JOB_MAX - 41 };
    assert_true(frame_job_heads(&heads, 1, &job));
    assert_int_equal(heads.head.length, FRAME_JOB_MAX);
    job.data_len++;
    assert_false(frame_job_heads(&heads, 1, &job));
    job.name_len = SIZE_MAX;
    assert_false(frame_job_heads(&heads, 1, &job));
}

static void lengths_of_a_job_must_add_up(void **state)
{
    (void)state;
    const struct frame_job job = { .id = "1",
        .id_len = 1,
        .name = "n",
        .name_len = 1,
        .data = "{}",
        .data_len = 2,
        .attempt = 1 };
    g_autoptr(GString) bytes = job_frame(1, &job);
    struct frame frame = { .bytes = bytes->str + sizeof(struct frame_head),
        .length = bytes->len - sizeof(struct frame_head) };
    struct frame_job got;
    assert_true(frame_parse_job(&frame, &got));
    frame.length--;
    assert_false(frame_parse_job(&frame, &got));
    frame.length = 3;
    assert_false(frame_parse_job(&frame, &got));
    frame.length = bytes->len - sizeof(struct frame_head);
    struct frame_job_head *numbers =
        (struct frame_job_head *)(void *)(bytes->str + sizeof(struct frame_head));
    numbers->id_len = UINT32_MAX, numbers->name_len = 5; /* the same sum in 32 bits */
    assert_false(frame_parse_job(&frame, &got));
    numbers->id_len = 2, numbers->name_len = 0; /* the same sum, the NUL elsewhere */
    assert_false(frame_parse_job(&frame, &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_frames_split_anywhere),
        cmocka_unit_test(decodes_job_byte_by_byte),
        cmocka_unit_test(a_large_job_leaves_no_large_buffer),
        cmocka_unit_test(rejects_bad_frame_heads),
        cmocka_unit_test(allocates_only_for_received_bytes),
        cmocka_unit_test(texts_end_in_their_only_nul),
        cmocka_unit_test(limits_sent_frames),
        cmocka_unit_test(lengths_of_a_job_must_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
