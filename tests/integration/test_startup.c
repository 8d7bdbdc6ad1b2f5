/*
 * Programs started without stdin, stdout or stderr: no connection takes their place, what
 * cannot be read or printed is an error, and a worker works. Passwords are on no command line.
 * And which handlers there are.
 */
#include "../support/check.h"

#include <arpa/inet.h>
#include <glib.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"

#define DEADLINE_MS 30000

static struct test_redis *redis;

static int start_redis(void **state)
{
    (void)state;
    redis = test_redis_start(NULL);
    g_setenv("OX_REDIS_URL", test_redis_url(redis), TRUE);
    return 0;
}

static int stop_redis(void **state)
{
    (void)state;
    test_redis_stop(redis);
    return 0;
}

/* Runs a line of the shell, in which "ox" is ours. */
static int shell(const char *line, char **err)
{
    g_autofree char *ox = test_program("ox");
    g_autofree char *folder = g_path_get_dirname(ox);
    g_autofree char *whole = g_strdup_printf("PATH=%s:$PATH; %s", folder, line);
    return test_run_words(NULL, err, "sh", "-c", whole, NULL);
}

static void assert_fails(const char *line, int status, const char *said)
{
    g_autofree char *err = NULL;
    int got = shell(line, &err);
    if (got != status || !strstr(err, said))
        test_fatal("%s: exit status %d instead of %d; stderr: %s", line, got, status, err);
}

/* The first connection was descriptor 1, and rows are commands to a server: DEL and a key. */
static void rows_are_not_sent_to_the_server(void **state)
{
    (void)state;
    g_autoptr(GString) jobs = g_string_new(NULL);
    for (int i = 0; i < 500; i++)
        g_string_append_printf(jobs,
            "{\"name\":\"bull:closed:meta\",\"opts\":"
            "{\"jobId\":\"%s%d\"}}\n",
            i ? "J" : "DEL", i);
    g_string_replace(jobs, "DEL0", "DEL", 1);
    const char *const import[] = { "ox", "import", "closed", NULL };
    assert_int_equal(test_run(import, jobs->str, NULL, NULL), 0);
    int64_t keys = test_redis_int(redis, "DBSIZE");
    assert_true(keys > 500);
    assert_fails("ox jobs closed --limit 1000 >&-", 1, "cannot write the output");
    assert_fails("ox jobs closed --json >&- 2>&-", 1, "");
    assert_fails("ox jobs closed <&- >&- 2>&-", 1, "");
    assert_fails("ox counts closed <&-", 0, "");
    assert_fails("ox counts closed 2>&-", 0, "");
    assert_fails("ox counts closed >&-", 1, "cannot write the output");
    assert_fails("ox --help >&-", 1, "cannot write the output");
    assert_fails("ox-worker --help >&-", 1, "");
    assert_fails("ox-worker --version <&- >&- 2>&-", 1, "");
    assert_fails("ox-handler --list >&-", 1, "");
    assert_int_equal(test_redis_int(redis, "DBSIZE"), keys);
}

static void reports_closed_stdin(void **state)
{
    (void)state;
    assert_fails("ox add closed n - <&-", 1, "cannot read standard input: it is closed");
    assert_fails("ox add closed n - <&- >&- 2>&-", 1, "");
    assert_fails("ox flow closed <&-", 1, "cannot read standard input: it is closed");
    assert_fails("ox import closed <&-", 1, "cannot read the input: it is closed");
    assert_fails("ox retry closed - <&-", 1, "from standard input: it is closed");
}

static bool has_result(void *arg)
{
    g_autofree char *result = test_redis_text(redis, "HGET bull:%s:1 returnvalue", (char *)arg);
    return g_strcmp0(result, "{\"n\":1}") == 0;
}

static void worker_without_streams_works(void **state)
{
    (void)state;
    g_autofree char *program = test_program("ox-worker");
    g_autofree char *line =
        g_strdup_printf("exec %s --concurrency 1 alone=echo <&- >&- 2>&-", program);
    const char *const argv[] = { "sh", "-c", line, NULL };
    assert_fails("ox add alone n '{\"n\":1}' >/dev/null", 0, "");
    struct test_process *worker = test_start(argv, NULL);
    assert_true(test_wait_for(DEADLINE_MS, has_result, (char[]){ "alone" }));
    test_process_signal(worker, SIGTERM);
    assert_int_equal(test_process_wait(worker, DEADLINE_MS), 0);
    test_process_free(worker);
}

/* What ps(1) shows of a process that has begun its work. */
static void assert_hidden(struct test_process *process)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)process->pid);
    g_autofree char *line = NULL;
    gsize length = 0;
    assert_true(g_file_get_contents(path, &line, &length, NULL));
    for (gsize i = 0; i < length; i++)
        if (line[i] == '\0')
            line[i] = ' ';
    assert_non_null(strstr(line, "redis://u:***@127.0.0.1:"));
    assert_null(strstr(line, "pa55"));
}

/* A server that takes connections and says nothing, so that its client is there to be seen. */
static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
                listen(fd, 8) == 0 && getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* The server is this program's own: a worker makes two connections, and the second one must not
 * be taken for the next program's first. */
static void assert_started_hidden(const char *program, const char *verb, const char *queue)
{
    uint16_t port;
    int server = listen_somewhere(&port);
    g_autofree char *url = g_strdup_printf("redis://u:pa55word@127.0.0.1:%u", port);
    const char *const argv[] = { program, "--redis", url, verb, queue, NULL };
    struct test_process *process = test_start(argv, NULL);
    int client = accept(server, NULL, NULL);
    assert_true(client >= 0);
    assert_hidden(process);
    test_process_free(process);
    close(client);
    close(server);
}

static void passwords_are_not_on_the_command_line(void **state)
{
    (void)state;
    assert_started_hidden("ox-worker", "q=echo", NULL);
    assert_started_hidden("ox", "counts", "q");
}

static void url_is_read_from_a_file(void **state)
{
    (void)state;
    g_autofree char *folder = test_dir_new();
    g_autofree char *path = g_build_filename(folder, "url", NULL);
    g_autofree char *text = g_strconcat(test_redis_url(redis), "\n", NULL);
    g_autofree char *counts = g_strdup_printf("ox --redis @%s counts closed", path);
    g_autofree char *variable = g_strdup_printf("OX_REDIS_URL=@%s ox counts closed", path);
    g_autofree char *given = g_strconcat("@", path, NULL);
    const char *const argv[] = { "ox-worker", "--redis", given, "q=echo", NULL };
    test_write(path, text, -1);
    assert_fails(counts, 0, "");
    assert_fails(variable, 0, "");
    struct test_process *worker = test_start(argv, NULL);
    assert_true(test_process_says(worker, "event=connected", DEADLINE_MS));
    test_process_free(worker);
    assert_fails("ox --redis @/nowhere/url counts closed", 1, "cannot read /nowhere/url: No");
    assert_fails("ox-worker --redis @/nowhere/url q=echo", 2, "cannot read /nowhere/url: No");
    test_remove(folder);
}

/* What a handler needs burdens its own children only. */
static void heavy_handlers_are_programs_of_their_own(void **state)
{
    (void)state;
    assert_fails("ox-handler --list | grep -q '^noop'", 0, "");
    assert_fails("ox-handler --list | grep -q '^image'", 0, "");
    assert_fails("ox-handler --list | grep -q '\troot\tDIR\t'", 0, "");
    assert_fails("ldd $(command -v ox-handler-image) | grep -q vips", 0, "");
    assert_fails("ldd $(command -v ox-handler-sql) | grep -q libpq", 0, "");
    assert_fails("ox-handler --list | grep -q '^webhook'", 0, "");
    assert_fails("ldd $(command -v ox-handler-webhook) | grep -q curl", 0, "");
    assert_fails(
        "ldd $(command -v ox-handler) | grep -q -e vips -e libpq -e sqlite -e curl", 1, "");
    assert_fails("ox-handler --handler=noop --check", 0, "");
    assert_fails("ox-handler --handler=image --check", 2, "needs a root");
    assert_fails("ox-handler --handler=image --root=/ --check", 0, "");
    assert_fails("ox-handler --handler=image --root=/ --max-bytes=0 --check", 2,
        "ox-handler: --max-bytes: \"0\" is less than 1");
    assert_fails("ox-handler --handler=/../image --check", 2, "no handler is called /../image");
    assert_fails("ox-handler --handler=noop --chekc", 2,
        "unknown option --chekc; did you mean --check?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_not_sent_to_the_server),
        cmocka_unit_test(reports_closed_stdin),
        cmocka_unit_test(worker_without_streams_works),
        cmocka_unit_test(passwords_are_not_on_the_command_line),
        cmocka_unit_test(url_is_read_from_a_file),
        cmocka_unit_test(heavy_handlers_are_programs_of_their_own),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
