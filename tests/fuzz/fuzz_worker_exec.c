/*
 * fuzz_worker_exec.c - what a program of the exec handler prints, in both of its modes.
 *
 * The target stands in for exec_program.c, so that no process is needed: its program reads its
 * job, prints the input in pieces, and ends. Input: a letter, o for one-shot and s for stream,
 * a byte for the size of the pieces, one for the exit status, then what it prints. With a
 * stream, jobs follow each other until all is printed.
 */
#include "fuzz_handler.h"

#include "worker/handlers/exec.h"

static struct {
    struct exec_program *at;
    const uint8_t *bytes;
    size_t left, step;
    int status;
} printer;

void exec_program_init(void)
{
}

bool exec_program_start(struct exec_program *program, char **environment, GString *why)
{
    (void)why;
    expect(environment != NULL);
    *program = (struct exec_program){ .command = program->command,
        .pid = 1,
        .said = g_string_new(NULL),
        .last_line = g_string_new(NULL) };
    printer.at = program;
    return true;
}

void exec_program_feed(struct exec_program *program, const char *bytes, size_t count, bool last)
{
    program->unsent = bytes;
    program->unsent_bytes = count;
    program->last_input = last;
}

static void read_input(struct exec_program *program)
{
    const char *line = program->unsent;
    size_t length = program->unsent_bytes;
    if (!program->last_input) {
        expect(length > 1 && memchr(line, '\n', length) == line + length - 1);
        expect(ox__json_valid(line, length - 1));
    }
    program->unsent_bytes = 0;
}

bool exec_program_turn(struct exec_program *program, int timeout_ms)
{
    size_t count = MIN(printer.left, printer.step);
    if (timeout_ms == 0 || program->pid == 0) {
        return false;
    }
    if (program->unsent_bytes > 0) {
        read_input(program);
    }
    if (count > 0) {
        g_string_append_len(program->said, (const char *)printer.bytes, (gssize)count);
    }
    printer.bytes += count;
    printer.left -= count;
    if (count == 0) {
        program->pid = 0;
        program->status = printer.status;
    }
    return count > 0;
}

void exec_program_read_rows(struct exec_program *program)
{
    expect(program->said != NULL);
}

void exec_program_end(struct exec_program *program)
{
    if (program->said != NULL) {
        g_string_free(program->said, TRUE);
        g_string_free(program->last_line, TRUE);
    }
    *program = (struct exec_program){ .command = program->command };
}

enum handler_result exec_program_verdict(const struct exec_program *program, GString *out)
{
    if (program->status == 0) {
        return HANDLER_DONE;
    }
    g_string_printf(out, "status %d", program->status);
    return HANDLER_RETRY;
}

void exec_program_reason(const struct exec_program *program, GString *out, const char *text)
{
    g_string_printf(out, "exec: %s: %s", program->command->name, text);
}

/* What is left of the last job's lines would be told on stderr before the next one. */
static void forget_rest(void)
{
    if (printer.at->said != NULL && printer.at->said->len > 0) {
        exec_program_end(printer.at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char one_shot[] = "--mode=one-shot", stream[] = "--mode=stream";
    static struct handler_config config[2];
    static const struct handler_job job = { .queue = "q",
        .id = "7",
        .name = "n",
        .data = "{\n\"a\": [1]}",
        .name_len = 1,
        .data_len = 11,
        .attempt = 1,
        .deadline_ms = 5 };
    if (config[0].options == NULL) {
        config[0] = fuzz_start(&exec_handler, "true", (char *[]){ one_shot, one_shot, NULL });
        config[1] = fuzz_start(&exec_handler, "true", (char *[]){ stream, stream, NULL });
    }
    if (size < 3 || (data[0] != 'o' && data[0] != 's')) {
        return 0;
    }
    printer.step = (size_t)data[1] + 1;
    printer.status = data[2];
    printer.bytes = data + 3;
    printer.left = size - 3;
    do {
        fuzz_run(&exec_handler, &config[data[0] == 's'], &job);
        forget_rest();
    } while (data[0] == 's' && printer.left > 0);
    exec_program_end(printer.at);
    return 0;
}
