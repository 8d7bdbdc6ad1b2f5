/*
 * test_lib_hangup.c - servers that hang up in the middle of a sentence. That is an error like
 * others, and never a SIGPIPE, which would end a program that did not ask for it.
 */
#include "../support/check.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/engine.h"
#include "../support/files.h"

/* Takes each connection and closes it, until the socket is shut down. */
static gpointer hang_up(gpointer arg)
{
    int fd, listener = GPOINTER_TO_INT(arg);
    while ((fd = accept(listener, NULL, NULL)) >= 0)
        close(fd);
    return NULL;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, 16) < 0)
        test_fatal("cannot listen at %s", path);
    return fd;
}

/* Which is first, our greeting or its end, is a matter of chance: so, many times. */
static void client_reports_hangup(void **state)
{
    (void)state;
    g_autofree char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *url = g_strconcat("unix://", path, NULL);
    int listener = listen_at(path);
    GThread *server = g_thread_new("server", hang_up, GINT_TO_POINTER(listener));
    const ox_client_options options = { .url = url, .connect_tries = 1 };
    for (int i = 0; i < 300; i++) {
        ox_client *client = NULL;
        ox_error err = { 0 };
        assert_int_equal(ox_client_new(&client, &options, &err), OX_ECONNECT);
        assert_null(client);
        assert_non_null(strstr(err.text, path));
    }
    shutdown(listener, SHUT_RDWR);
    g_thread_join(server);
    close(listener);
}

static void write_to_the_dead(ox_task *task)
{
    test_redis_kill(engine->redis);
    assert_int_equal(ox_task_progress(task, "1"), 0);
    assert_int_equal(ox_task_log(task, "row"), 0);
    g_ptr_array_add(engine->held, task);
}

static void worker_survives_hangup(void **state)
{
    (void)state;
    engine->process = write_to_the_dead;
    g_free(engine_add("any", NULL));
    engine_start();
    engine_wait_started(1);
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    test_redis_revive(engine->redis);
    engine->process = NULL;
    ox_task_release(g_ptr_array_index(engine->held, 0));
    engine_add_many("ok", 1, NULL);
    engine_wait_completed(1);
    engine_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_reports_hangup),
        cmocka_unit_test_setup_teardown(worker_survives_hangup, engine_up, engine_down),
    };
    signal(SIGPIPE, SIG_DFL);
    return cmocka_run_group_tests_name("lib hangup", tests, NULL, NULL);
}
