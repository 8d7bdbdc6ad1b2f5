/*
 * log.c - lines for people and for log collectors; see log.h.
 *
 * The loop makes a line in `held`; log_flush() hands what is held to a thread, which does
 * nothing but write. A write to a terminal that was stopped (Ctrl-S), to a pipe that nobody
 * reads or to a file on a dead mount blocks that thread alone, whatever kind of file it is and
 * whoever owns it. O_NONBLOCK would not do: it belongs to the open file, and so to every
 * program that has it.
 *
 * `held` belongs to the loop, `queued` is shared under the lock, `written` belongs to the
 * thread, which swaps it with `queued`. The thread allocates nothing, so it needs no arena of
 * its own; buffers that grew come back to the loop, which makes them small again.
 */
#include "log.h"

#include "base/text.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUEUED_MAX_BYTES ((size_t)1 << 20)
#define VALUE_MAX_BYTES ((size_t)4 << 10)
#define KEEP_BYTES ((size_t)64 << 10)
#define CLOSE_WAIT_US (G_TIME_SPAN_SECOND)

static const char *const level_names[] = { "error", "warn", "info", "debug" };

/* A thread that is stuck in a write outlives log_close(), so this is on the heap. */
struct writer {
    int fd;
    GThread *thread;
    GMutex lock;
    GCond changed;
    GString *queued, *written;
    bool writing;
    bool closing; /* write what is queued, then end */
};

static struct {
    struct writer *writer;
    enum log_format format;
    enum log_level level;
    GString *held; /* whole lines, and behind `line_at` the one that is being made */
    size_t line_at;
    uint64_t held_lines;
    bool open;        /* between log_begin and log_end of a line that is wanted */
    uint64_t dropped; /* lines, since the last one that said so */
    time_t second;    /* the second that `stamp` shows */
    char stamp[24];
} log_state = { .level = LOG_INFO };

/* ---- The thread -------------------------------------------------------------------------- */

static void write_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t done = write(fd, bytes, count);
        if (done < 0 && errno == EAGAIN) { /* another program made the file non-blocking */
            struct pollfd writable = { .fd = fd, .events = POLLOUT };
            poll(&writable, 1, -1);
        } else if (done < 0 && errno != EINTR) {
            return; /* nobody will ever read it */
        } else if (done > 0) {
            bytes += done;
            count -= (size_t)done;
        }
    }
}

static void *write_lines(void *arg)
{
    struct writer *writer = arg;
    g_mutex_lock(&writer->lock);
    for (;;) {
        while (writer->queued->len == 0 && !writer->closing) {
            g_cond_wait(&writer->changed, &writer->lock);
        }
        if (writer->queued->len == 0) {
            break;
        }
        GString *lines = writer->queued;
        writer->queued = writer->written;
        writer->written = lines;
        writer->writing = true;
        g_mutex_unlock(&writer->lock);
        write_all(writer->fd, lines->str, lines->len);
        g_string_truncate(lines, 0);
        g_mutex_lock(&writer->lock);
        writer->writing = false;
        g_cond_broadcast(&writer->changed);
    }
    g_mutex_unlock(&writer->lock);
    return NULL;
}

/* ---- Its queue --------------------------------------------------------------------------- */

void log_open(int fd, enum log_format format, enum log_level level)
{
    struct writer *writer = g_new0(struct writer, 1);
    writer->fd = fd;
    writer->queued = g_string_new(NULL);
    writer->written = g_string_new(NULL);
    g_mutex_init(&writer->lock);
    g_cond_init(&writer->changed);
    writer->thread = g_thread_new("log", write_lines, writer);
    log_state.writer = writer;
    log_state.format = format;
    log_state.level = level;
    log_state.held = g_string_sized_new(4096);
}

void log_change(enum log_format format, enum log_level level)
{
    log_state.format = format;
    log_state.level = level;
}

/* Moves what is held to the queue, or drops it when the reader is too far behind. */
static void queue_held(struct writer *writer)
{
    GString *held = log_state.held;
    g_mutex_lock(&writer->lock);
    if (writer->queued->len == 0) {
        log_state.held = writer->queued;
        writer->queued = held;
    } else if (writer->queued->len + held->len <= QUEUED_MAX_BYTES) {
        g_string_append_len(writer->queued, held->str, (gssize)held->len);
    } else {
        log_state.dropped += log_state.held_lines;
    }
    g_cond_broadcast(&writer->changed);
    g_mutex_unlock(&writer->lock);
    g_string_truncate(log_state.held, 0);
    log_state.held_lines = 0;
    if (log_state.held->allocated_len > KEEP_BYTES) {
        g_string_free(log_state.held, TRUE);
        log_state.held = g_string_sized_new(4096);
    }
}

/* Lines were dropped, and now there is room to say so. */
static bool may_tell_dropped(void)
{
    struct writer *writer = log_state.writer;
    if (log_state.dropped == 0) {
        return false;
    }
    g_mutex_lock(&writer->lock);
    bool room = writer->queued->len < QUEUED_MAX_BYTES / 2;
    g_mutex_unlock(&writer->lock);
    return room;
}

bool log_pending(void)
{
    return log_state.held != NULL && (log_state.held->len > 0 || may_tell_dropped());
}

void log_flush(void)
{
    if (log_state.held == NULL) {
        return;
    }
    if (may_tell_dropped()) {
        int64_t dropped = (int64_t)log_state.dropped;
        log_state.dropped = 0;
        log_begin(LOG_WARN, "log-dropped");
        log_number("lines", dropped);
        log_end();
    }
    if (log_state.held->len > 0) {
        queue_held(log_state.writer);
    }
}

/* False when the reader is stuck. */
static bool wait_until_written(struct writer *writer)
{
    gint64 deadline = g_get_monotonic_time() + CLOSE_WAIT_US;
    bool in_time = true;
    g_mutex_lock(&writer->lock);
    writer->closing = true;
    g_cond_broadcast(&writer->changed);
    while (in_time && (writer->writing || writer->queued->len > 0)) {
        in_time = g_cond_wait_until(&writer->changed, &writer->lock, deadline);
    }
    g_mutex_unlock(&writer->lock);
    return in_time;
}

void log_close(void)
{
    struct writer *writer = log_state.writer;
    if (writer == NULL) {
        return;
    }
    log_flush();
    if (wait_until_written(writer)) {
        g_thread_join(writer->thread);
        g_string_free(writer->queued, TRUE);
        g_string_free(writer->written, TRUE);
        g_mutex_clear(&writer->lock);
        g_cond_clear(&writer->changed);
        g_free(writer);
    }
    log_state.writer = NULL;
    g_string_free(log_state.held, TRUE);
    log_state.held = NULL;
}

/* ---- Lines ------------------------------------------------------------------------------- */

static void append_code(GString *line, gunichar c)
{
    if (c > 0xffff) {
        g_string_append_printf(
            line, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
    } else {
        g_string_append_printf(line, "\\u%04x", c);
    }
}

/* What JSON and logfmt escape alike: the quote, the backslash and what is harmful. */
static void append_escaped(GString *line, const char *text, size_t length)
{
    for (const char *at = text; at < text + length; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (c == '"' || c == '\\') {
            g_string_append_c(line, '\\');
            g_string_append_c(line, *at);
        } else if (c == '\n') {
            g_string_append(line, "\\n");
        } else if (c == '\t') {
            g_string_append(line, "\\t");
        } else if (ox__is_harmful(c)) {
            append_code(line, c);
        } else {
            g_string_append_len(line, at, g_utf8_next_char(at) - at);
        }
    }
}

static bool is_plain(const char *text)
{
    if (!*text) {
        return false;
    }
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        if (strchr(" \"\\=", *at) != NULL || ox__is_harmful(g_utf8_get_char(at))) {
            return false;
        }
    }
    return true;
}

static void append_key(const char *key)
{
    GString *line = log_state.held;
    if (log_state.format == LOG_JSON) {
        g_string_append_printf(
            line, "%s\"%s\":", line->len > log_state.line_at ? "," : "{", key);
    } else {
        g_string_append_printf(line, "%s%s=", line->len > log_state.line_at ? " " : "", key);
    }
}

void log_text(const char *key, const char *value)
{
    if (!log_state.open || value == NULL) {
        return;
    }
    g_autofree char *valid =
        g_utf8_validate(value, -1, NULL) ? NULL : g_utf8_make_valid(value, -1);
    if (valid != NULL) {
        value = valid;
    }
    /* Whoever adds jobs chooses their names: a few must not fill the queue of lines. */
    size_t length = ox__utf8_truncate(value, VALUE_MAX_BYTES);
    append_key(key);
    if (log_state.format == LOG_LOGFMT && value[length] == '\0' && is_plain(value)) {
        g_string_append(log_state.held, value);
        return;
    }
    g_string_append_c(log_state.held, '"');
    append_escaped(log_state.held, value, length);
    g_string_append(log_state.held, value[length] != '\0' ? "...\"" : "\"");
}

void log_number(const char *key, int64_t value)
{
    if (!log_state.open) {
        return;
    }
    append_key(key);
    g_string_append_printf(log_state.held, "%" G_GINT64_FORMAT, value);
}

void log_true(const char *key)
{
    if (log_state.open) {
        append_key(key);
        g_string_append(log_state.held, "true");
    }
}

void log_elapsed(const char *key, uint64_t ns)
{
    uint64_t tenths = (ns + 50000) / 100000;
    if (!log_state.open) {
        return;
    }
    append_key(key);
    g_string_append_printf(
        log_state.held, "%" G_GUINT64_FORMAT ".%u", tenths / 10, (unsigned)(tenths % 10));
}

static void append_time(void)
{
    struct timespec now;
    char text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != log_state.second) {
        struct tm parts;
        gmtime_r(&now.tv_sec, &parts);
        strftime(log_state.stamp, sizeof log_state.stamp, "%Y-%m-%dT%H:%M:%S", &parts);
        log_state.second = now.tv_sec;
    }
    g_snprintf(text, sizeof text, "%s.%03dZ", log_state.stamp, (int)(now.tv_nsec / 1000000));
    log_text("ts", text);
}

static void begin(enum log_level level, const char *event)
{
    log_state.open = false;
    if (log_state.held == NULL) {
        return;
    }
    if (log_state.held->len > QUEUED_MAX_BYTES) {
        log_state.dropped++;
        return;
    }
    log_state.open = true;
    log_state.line_at = log_state.held->len;
    append_time();
    log_text("level", level_names[level]);
    log_text("event", event);
}

void log_begin(enum log_level level, const char *event)
{
    log_state.open = false;
    if (level <= log_state.level) {
        begin(level, event);
    }
}

void log_begin_asked(const char *event)
{
    begin(LOG_INFO, event);
}

void log_end(void)
{
    if (!log_state.open) {
        return;
    }
    g_string_append(log_state.held, log_state.format == LOG_JSON ? "}\n" : "\n");
    log_state.open = false;
    log_state.held_lines++;
}

void log_place(const struct log_place *place)
{
    log_text("queue", place->queue);
    log_text("stream", place->stream);
    log_text("group", place->group);
}

void log_note(enum log_level level, const char *event, const char *text)
{
    log_begin(level, event);
    log_text("text", text);
    log_end();
}

void log_complaint(const char *text, bool usage)
{
    g_autofree char *cleaned = ox__text_clean(text, "");
    fprintf(stderr, "ox-worker: %s%s\n", cleaned, usage ? " (see ox-worker --help)" : "");
}
