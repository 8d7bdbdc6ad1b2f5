/*
 * frame.h - what the parent and a child say to each other.
 *
 * Both sides run on one machine and come from one build, so a frame is a plain struct in the
 * machine's byte order: a head and `length` bytes behind it. A job carries numbers and three
 * strings; every other frame carries one string. Strings end in NUL, so that they are used
 * where they were read, without a copy.
 *
 * The serial is the job's: the parent counts, the child echoes it. A late answer to an
 * earlier job is thereby told from the answer to this one. Frames of no job carry 0.
 *
 * The parent trusts nothing that it reads: each type has a ceiling, the buffer grows with the
 * bytes that came and never with the length that was announced, and a frame that breaks a
 * rule makes the reader fail for good.
 */
#ifndef OX_WORKER_FRAME_H
#define OX_WORKER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_JOB_MAX (768u << 20)   /* Redis keeps 512 MB in a string */
#define FRAME_RESULT_MAX (16u << 20) /* return values */
#define FRAME_TEXT_MAX (256u << 10)  /* reasons, log rows, progress */

/* type, who sends it, the most bytes behind the head */
#define FRAMES(XX)                                                                             \
    XX(JOB, FROM_PARENT, FRAME_JOB_MAX)                                                        \
    XX(READY, FROM_CHILD, 64)               /* takes jobs; its version */                      \
    XX(REFUSED, FROM_CHILD, FRAME_TEXT_MAX) /* cannot start: why */                            \
    XX(PROGRESS, FROM_CHILD, FRAME_TEXT_MAX)                                                   \
    XX(LOG, FROM_CHILD, FRAME_TEXT_MAX)                                                        \
    XX(DONE, FROM_CHILD,                                                                       \
        FRAME_RESULT_MAX) /* the return value, may be empty; of a batch, see batch.h */        \
    XX(RETRY, FROM_CHILD, FRAME_TEXT_MAX) /* the reason */                                     \
    XX(FATAL, FROM_CHILD, FRAME_TEXT_MAX) /* the reason */                                     \
    XX(RETRY_AFTER, FROM_CHILD, 32)       /* ms, decimal; before RETRY */                      \
    XX(FAILURE, FROM_CHILD, 32)           /* a word of failure.h; before RETRY or FATAL */     \
    XX(OUTDATED, FROM_CHILD, 1) /* the job was not begun; a new child can run it. No text */

enum frame_sender { FROM_PARENT, FROM_CHILD };

enum frame_type {
    FRAME_NONE,
#define FRAME_ENUM(name, sender, max) FRAME_##name,
    FRAMES(FRAME_ENUM)
#undef FRAME_ENUM
        FRAME_TYPE_COUNT
};

struct frame_head {
    uint32_t length; /* bytes behind the head */
    uint32_t type;   /* enum frame_type */
    uint32_t serial;
};

/* Behind the head of a job come these numbers, then id, name and data, each with its NUL,
 * which the lengths leave out. */
struct frame_job_head {
    uint32_t attempt, id_len, name_len, data_len, events;
    uint32_t deadline_high, deadline_low; /* two halves, so that no padding is sent */
    uint32_t timestamp_high, timestamp_low;
};

/* A frame as it was read; the text lies in the reader and lives until its next call. */
struct frame {
    uint32_t type, serial;
    const char *bytes;
    size_t length;
};

struct frame_job {
    const char *id, *name, *data;
    size_t id_len, name_len, data_len;
    uint32_t attempt;
    uint32_t events;      /* of a batch, whose text `data` is (batch.h); 0: it is a job */
    int64_t deadline_ms;  /* Unix time when the parent ends the run; 0: never */
    int64_t timestamp_ms; /* Unix time when the job was added */
};

struct frame_reader {
    enum frame_sender peer;
    char *bytes;
    size_t start, used, size; /* unread bytes are [start, used) */
};

/* Takes frames of `peer` only. */
void frame_reader_init(struct frame_reader *reader, enum frame_sender peer);
void frame_reader_done(struct frame_reader *reader);

/* Where the next bytes may be put, and how many; never 0. */
size_t frame_reader_room(struct frame_reader *reader, char **at);
/* So many were put there. */
void frame_reader_filled(struct frame_reader *reader, size_t count);

/* The next whole frame: 1, or 0 when more bytes are needed, or -1 when the peer broke the
 * rules; `problem` then says how. */
int frame_reader_next(struct frame_reader *reader, struct frame *out, const char **problem);

/* The string of a frame that carries one, or NULL when it is none. */
const char *frame_text(const struct frame *frame);
/* The job of a FRAME_JOB; false when its lengths do not add up. */
bool frame_parse_job(const struct frame *frame, struct frame_job *out);

/* The head of a frame with that string. False when it is over the ceiling of its type. */
bool frame_text_head(
    struct frame_head *head, enum frame_type type, uint32_t serial, size_t text_len);

/* The two heads of a job as they go out together, and the most that fits. */
struct frame_job_out {
    struct frame_head head;
    struct frame_job_head job;
};
bool frame_job_heads(struct frame_job_out *out, uint32_t serial, const struct frame_job *job);

#endif /* OX_WORKER_FRAME_H */
