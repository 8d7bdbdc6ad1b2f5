/*
 * log.h - one line per event on stderr, as logfmt or JSON.
 *
 *     log_begin(LOG_INFO, "completed");
 *     log_text("queue", name);
 *     log_number("attempt", 1);
 *     log_end();
 *
 * Lines gather in memory until log_flush(), which the daemon calls a few milliseconds later and
 * which hands them to a thread of the log. It never blocks: when whoever reads stderr is too
 * slow, lines beyond 1 MB are dropped and counted, and the count is logged once there is room.
 * All of these functions are called from one thread, the loop's.
 */
#ifndef OX_WORKER_LOG_H
#define OX_WORKER_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

/* Lines above `level` are left out. */
void log_open(int fd, enum log_format format, enum log_level level);
/* Flushes, and waits for a slow reader for at most a second. The fd stays open. */
void log_close(void);
/* From the next line on. */
void log_change(enum log_format format, enum log_level level);
void log_flush(void);
/* Whether there is something to flush. */
bool log_pending(void);

void log_begin(enum log_level level, const char *event);
/* A line that somebody asked for just now: it has the level info, and is written at any. */
void log_begin_asked(const char *event);
/* NULL is left out. Bytes that are no UTF-8 are replaced; what is behind 4 KB is left out, and
 * "..." stands for it. */
void log_text(const char *key, const char *value);
void log_number(const char *key, int64_t value);
void log_true(const char *key); /* what is false is left out */
/* Milliseconds with one digit behind the point. */
void log_elapsed(const char *key, uint64_t ns);
void log_end(void);

/* What a line is about: a queue, or a group of a stream. */
struct log_place {
    const char *queue;
    const char *stream, *group; /* NULL for a queue */
};
void log_place(const struct log_place *place);

/* A line with a text alone. */
void log_note(enum log_level level, const char *event, const char *text);

/* One line on stderr for whoever typed the command, before there is a log; `usage` adds a hint
 * to --help. */
void log_complaint(const char *text, bool usage);

#endif /* OX_WORKER_LOG_H */
