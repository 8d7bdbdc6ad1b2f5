/*
 * main.c - the test agent: libox, driven by lines of JSON.
 *
 * The interop tests are written in JavaScript, where the real BullMQ lives. This program is
 * their hand inside libox: a request {"id":1,"op":"add","queue":"q",...} on stdin becomes
 * the libox call of that name, and {"id":1,"value":...} or {"id":1,"code":-109,...} on stdout
 * is its answer. {"op":"worker_start"} starts a worker in the same process, on the loop that
 * also reads stdin; what it does with a job is written in the job's data (worker.c). Lines
 * with "event" instead of "id" tell what happens on their own account.
 *
 * One thread. Calls of the operators' kind block the loop for as long as they take, so a
 * test that waits (events_next, wait) uses an agent of its own for that.
 * The agent ends when its stdin does, so none outlives its test.
 */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES (64u << 20)

static struct agent agent;
static char *line;
static size_t line_len, line_size;

double agent_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void write_line(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT);
    fputc('\n', stdout);
    fflush(stdout);
    json_decref(object);
}

void agent_reply(int64_t id, json_t *value)
{
    write_line(
        json_pack("{s:I, s:o}", "id", (json_int_t)id, "value", value ? value : json_null()));
}

void agent_event(json_t *event)
{
    write_line(event);
}

#define CODE_NAME(name, value, text) { value, #name },
static const struct {
    int code;
    const char *name;
} code_names[] = { OX_ERRORS(CODE_NAME) };

static const char *code_name(int code)
{
    for (size_t i = 0; i < sizeof(code_names) / sizeof(code_names[0]); i++)
        if (code_names[i].code == code)
            return code_names[i].name;
    return "?";
}

static void reply_error(int64_t id, int code, const ox_error *error)
{
    /* A text that is not UTF-8 would be a finding, not a reason to answer nothing. */
    json_t *text = json_string(error->text);
    write_line(json_pack("{s:I, s:i, s:s, s:o}", "id", (json_int_t)id, "code", code, "name",
        code_name(code), "error", text ? text : json_string("(no UTF-8)")));
}

static const struct operation *find_operation(const char *name)
{
    static const struct operation *const parts[] = { queue_operations, steering_operations,
        worker_operations };

    for (size_t i = 0; name && i < sizeof(parts) / sizeof(parts[0]); i++)
        for (const struct operation *op = parts[i]; op->name; op++)
            if (strcmp(op->name, name) == 0)
                return op;
    return NULL;
}

static void serve(const json_t *request)
{
    int64_t id = json_integer_value(json_object_get(request, "id"));
    const char *name = json_string_value(json_object_get(request, "op"));
    const struct operation *op = find_operation(name);
    struct call call = { .agent = &agent, .request = request };
    json_t *value = NULL;
    int rc = OX_EINVAL;

    if (!op)
        snprintf(call.error.text, sizeof(call.error.text), "no operation %s", name);
    else if (!op->wants_queue ||
             (rc = queue_of(&agent, request, &call.queue, &call.error)) >= 0)
        rc = op->run(&call, &value);
    ox_queue_free(call.queue);

    if (rc < 0) {
        json_decref(value);
        reply_error(id, rc, &call.error);
    } else if (rc != AGENT_LATER) {
        agent_reply(id, value);
    }
}

static void serve_line(const char *text, size_t length)
{
    json_error_t problem;
    json_t *request = json_loadb(text, length, JSON_ALLOW_NUL, &problem);
    if (!request) {
        fprintf(stderr, "agent: no JSON: %s\n", problem.text);
        exit(2);
    }
    serve(request);
    json_decref(request);
}

static void serve_lines(void)
{
    char *start = line, *end;
    while ((end = memchr(start, '\n', line_len - (size_t)(start - line)))) {
        serve_line(start, (size_t)(end - start));
        start = end + 1;
    }
    line_len -= (size_t)(start - line);
    memmove(line, start, line_len);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    if (line_size - line_len < suggested) {
        line_size = line_size * 2 + suggested;
        char *grown = line_size > LINE_MAX_BYTES ? NULL : realloc(line, line_size);
        if (!grown) {
            fprintf(stderr, "agent: a line is too long\n");
            exit(2);
        }
        line = grown;
    }
    *buf = uv_buf_init(line + line_len, (unsigned)(line_size - line_len));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buf)
{
    (void)buf;
    if (length < 0) {
        /* The test is done: so are we, and the loop ends when nothing is left on it. */
        uv_close((uv_handle_t *)stream, NULL);
        abort_workers();
        return;
    }
    line_len += (size_t)length;
    serve_lines();
}

static void free_all(void)
{
    ox_events_free(agent.events);
    ox_queue_free(agent.events_queue);
    ox_client_free(agent.client);
    free(line);
    /* Refused while a held run's timer is there; the process ends anyway. */
    (void)uv_loop_close(&agent.loop);
}

int main(int argc, char **argv)
{
    ox_error error = { 0 };
    uv_pipe_t input;

    if (argc != 2) {
        fprintf(stderr, "usage: agent REDIS-URL\n");
        return 2;
    }
    agent.url = argv[1];
    if (ox_client_new(&agent.client, &(ox_client_options){ .url = argv[1] }, &error) < 0) {
        fprintf(stderr, "agent: %s\n", error.text);
        return 1;
    }
    uv_loop_init(&agent.loop);
    uv_pipe_init(&agent.loop, &input, 0);
    if (uv_pipe_open(&input, 0) < 0 ||
        uv_read_start((uv_stream_t *)&input, allocate, on_read) < 0) {
        fprintf(stderr, "agent: stdin is no pipe\n");
        return 2;
    }
    agent_event(json_pack("{s:s}", "event", "hello"));
    uv_run(&agent.loop, UV_RUN_DEFAULT);
    free_all();
    return 0;
}
