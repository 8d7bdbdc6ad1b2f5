/* Tests of rlimits.c: limits are read, and hold in a process that enters them. */
#include "../support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/files.h"
#include "worker/rlimits.h"

static char *file;

static struct rlimits read_rlimits(const char *words)
{
    g_autofree char *text = g_strdup(words), *why = NULL;
    struct rlimits limits = { 0 };
    if (!rlimits_parse(text, &limits, &why))
        test_fatal("%s: %s", words, why);
    return limits;
}

static void limits_are_read(void **state)
{
    (void)state;
    struct rlimits limits = read_rlimits("cpu=90s,file-size=2M,open-files=64");
    g_autofree char *text = g_strdup("memory=1G"), *why = NULL;
    assert_int_equal(limits.cpu_ms, 90000);
    assert_int_equal(limits.file_bytes, 2 << 20);
    assert_int_equal(limits.open_files, 64);
    assert_false(rlimits_parse(text, &limits, &why));
    assert_string_equal(
        why, "\"memory=1G\" is not one of cpu=TIME, file-size=SIZE, open-files=N");
}

static int limited(const char *words, int64_t space_bytes, void (*use)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimits limits = read_rlimits(words);
        rlimits_enter(&limits, space_bytes);
        rlimits_start_job(&limits);
        use();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void burn(void)
{
    for (;;) {
    }
}

static void write_megabytes(void)
{
    static const char bytes[1 << 16];
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 32; i++)
        if (write(fd, bytes, sizeof bytes) < 0)
            _exit(errno);
}

static void open_many(void)
{
    for (int i = 0; i < 100; i++)
        if (open("/dev/null", O_RDONLY) < 0)
            _exit(errno);
}

static void limits_hold(void **state)
{
    (void)state;
    g_autofree char *folder = test_dir_new();
    file = g_build_filename(folder, "file", NULL);
    assert_int_equal(limited("cpu=1s", 0, burn), 128 + SIGXCPU);
    assert_int_equal(limited("file-size=1M", 0, write_megabytes), EFBIG);
    assert_int_equal(limited("open-files=32", 0, open_many), EMFILE);
    g_clear_pointer(&file, g_free);
    test_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_read),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
