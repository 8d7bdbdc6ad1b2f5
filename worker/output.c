/*
 * output.c - see output.h.
 */
#include "output.h"

#include <string.h>

#include "log.h"

#define BURST_BYTES ((size_t)64 << 10)
#define BYTES_PER_S ((size_t)4 << 10)

void output_init(struct output *output, const struct log_place *place, uint64_t now_ms)
{
    output->place = place;
    output->budget = BURST_BYTES;
    output->filled_ms = now_ms;
}

void output_done(struct output *output)
{
    if (output->last != NULL) {
        g_string_free(output->last, TRUE);
    }
}

static void fill_budget(struct output *output)
{
    uint64_t more = (output->now_ms - output->filled_ms) * BYTES_PER_S / 1000;
    if (more > 0) {
        output->budget = (size_t)MIN(output->budget + more, BURST_BYTES);
        output->filled_ms = output->now_ms;
    }
}

static void leave_out(struct output *output, const char *line, size_t bytes)
{
    output->spent = true;
    output->left_lines++;
    output->left_bytes += bytes;
    if (output->last == NULL) {
        output->last = g_string_new(NULL);
    }
    g_string_assign(output->last, line);
}

void output_tell_left_out(struct output *output)
{
    if (output->left_lines == 0) {
        return;
    }
    log_begin(LOG_WARN, "output-dropped");
    log_place(output->place);
    log_number("pid", output->pid);
    log_number("lines", (int64_t)output->left_lines);
    log_number("bytes", (int64_t)output->left_bytes);
    log_text("last", output->last->str);
    log_end();
    output->left_lines = output->left_bytes = 0;
}

static void log_line(void *arg, const char *line)
{
    struct output *output = arg;
    size_t bytes = strlen(line) + 1;
    fill_budget(output);
    if (output->budget < (output->spent ? BURST_BYTES / 2 : bytes)) {
        leave_out(output, line, bytes);
        return;
    }
    output_tell_left_out(output);
    output->spent = false;
    output->budget -= bytes;
    log_begin(LOG_WARN, "output");
    log_place(output->place);
    log_number("pid", output->pid);
    log_text("text", line);
    log_end();
}

size_t output_room(struct output *output, char **at)
{
    return linebuf_room(&output->lines, at);
}

void output_filled(struct output *output, size_t count, uint64_t now_ms)
{
    output->now_ms = now_ms;
    linebuf_filled(&output->lines, count, log_line, output);
}

void output_end(struct output *output, uint64_t now_ms)
{
    output->now_ms = now_ms;
    linebuf_end(&output->lines, log_line, output);
    output_tell_left_out(output);
}
