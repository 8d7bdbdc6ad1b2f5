/*
 * log.c - lines for people and for log collectors; see log.h.
 *
 * A pipe is opened a second time through /proc, so that it can be made non-blocking for us
 * alone: the flag belongs to the open file, and the program on the other side of an inherited
 * one would get it too. A socket is sent to with MSG_DONTWAIT. A terminal or a file is simply
 * written to.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HELD_MAX_BYTES ((size_t)1 << 20)
#define CLOSE_WAIT_MS 1000

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static struct {
    int fd;
    bool own_fd, is_socket;
    enum log_format format;
    enum log_level level;
    GString *held; /* whole lines, and behind `line_at` the one that is being made */
    size_t line_at;
    bool open;        /* between log_begin and log_end of a line that is wanted */
    uint64_t dropped; /* lines, since the last one that said so */
    time_t second;    /* the second that `stamp` shows */
    char stamp[24];
} log_state = { .fd = -1, .level = LOG_INFO };

void log_open(int fd, enum log_format format, enum log_level level)
{
    struct stat about;
    log_state.fd = fd;
    log_state.format = format;
    log_state.level = level;
    log_state.held = g_string_sized_new(4096);
    if (fstat(fd, &about) < 0)
        return;
    log_state.is_socket = S_ISSOCK(about.st_mode);
    if (S_ISFIFO(about.st_mode)) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
        int again = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (again >= 0) {
            log_state.fd = again;
            log_state.own_fd = true;
        }
    }
}

static ssize_t put(const char *bytes, size_t count)
{
    if (log_state.is_socket)
        return send(log_state.fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return write(log_state.fd, bytes, count);
}

void log_flush(void)
{
    size_t done = 0;
    if (!log_state.held)
        return;
    while (done < log_state.held->len) {
        ssize_t count = put(log_state.held->str + done, log_state.held->len - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno != EAGAIN)
            done = log_state.held->len; /* nobody will ever read it */
        if (count < 0)
            break;
        done += (size_t)count;
    }
    g_string_erase(log_state.held, 0, (gssize)done);
    if (log_state.dropped && log_state.held->len < HELD_MAX_BYTES / 2) {
        int64_t dropped = (int64_t)log_state.dropped;
        log_state.dropped = 0;
        log_begin(LOG_WARN, "log-dropped");
        log_number("lines", dropped);
        log_end();
    }
}

bool log_pending(void)
{
    return log_state.held && log_state.held->len > 0;
}

void log_close(void)
{
    log_flush();
    if (log_pending()) {
        struct pollfd writable = { .fd = log_state.fd, .events = POLLOUT };
        if (poll(&writable, 1, CLOSE_WAIT_MS) > 0)
            log_flush();
    }
    if (log_state.held)
        g_string_free(log_state.held, TRUE);
    log_state.held = NULL;
    if (log_state.own_fd)
        close(log_state.fd);
    log_state.own_fd = false;
}

/* What could steer the terminal that shows the log: control characters, also those beyond
 * ASCII, and those that turn the writing direction. */
static bool is_harmful(gunichar c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* What JSON and logfmt escape alike: the quote, the backslash and what is harmful. */
static void append_escaped(GString *line, const char *text)
{
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (c == '"' || c == '\\') {
            g_string_append_c(line, '\\');
            g_string_append_c(line, *at);
        } else if (c == '\n') {
            g_string_append(line, "\\n");
        } else if (c == '\t') {
            g_string_append(line, "\\t");
        } else if (is_harmful(c)) {
            g_string_append_printf(line, "\\u%04x", c);
        } else {
            g_string_append_len(line, at, g_utf8_next_char(at) - at);
        }
    }
}

static bool is_plain(const char *text)
{
    if (!*text)
        return false;
    for (const char *at = text; *at; at = g_utf8_next_char(at))
        if (strchr(" \"\\=", *at) || is_harmful(g_utf8_get_char(at)))
            return false;
    return true;
}

static void append_key(const char *key)
{
    GString *line = log_state.held;
    if (log_state.format == LOG_JSON)
        g_string_append_printf(
            line, "%s\"%s\":", line->len > log_state.line_at ? "," : "{", key);
    else
        g_string_append_printf(line, "%s%s=", line->len > log_state.line_at ? " " : "", key);
}

void log_text(const char *key, const char *value)
{
    if (!log_state.open || !value)
        return;
    g_autofree char *valid =
        g_utf8_validate(value, -1, NULL) ? NULL : g_utf8_make_valid(value, -1);
    if (valid)
        value = valid;
    append_key(key);
    if (log_state.format == LOG_LOGFMT && is_plain(value)) {
        g_string_append(log_state.held, value);
        return;
    }
    g_string_append_c(log_state.held, '"');
    append_escaped(log_state.held, value);
    g_string_append_c(log_state.held, '"');
}

void log_number(const char *key, int64_t value)
{
    if (!log_state.open)
        return;
    append_key(key);
    g_string_append_printf(log_state.held, "%" G_GINT64_FORMAT, value);
}

void log_elapsed(const char *key, uint64_t ns)
{
    uint64_t tenths = (ns + 50000) / 100000;
    if (!log_state.open)
        return;
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

void log_begin(enum log_level level, const char *event)
{
    log_state.open = false;
    if (level > log_state.level || !log_state.held)
        return;
    if (log_state.held->len > HELD_MAX_BYTES) {
        log_state.dropped++;
        return;
    }
    log_state.open = true;
    log_state.line_at = log_state.held->len;
    append_time();
    log_text("level", level_names[level]);
    log_text("event", event);
}

void log_end(void)
{
    if (!log_state.open)
        return;
    g_string_append(log_state.held, log_state.format == LOG_JSON ? "}\n" : "\n");
    log_state.open = false;
}

void log_note(enum log_level level, const char *event, const char *text)
{
    log_begin(level, event);
    log_text("text", text);
    log_end();
}

void log_complaint(const char *text, bool usage)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autoptr(GString) line = g_string_new("ox-worker: ");
    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        g_string_append_unichar(line, is_harmful(c) ? '?' : c);
    }
    fprintf(stderr, "%s%s\n", line->str, usage ? " (see ox-worker --help)" : "");
}
