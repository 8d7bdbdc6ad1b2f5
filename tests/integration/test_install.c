/*
 * test_install.c - make install puts everything where it is told to, and make names what is
 * missing before it compiles.
 *
 * `make` runs as a newcomer runs it, in the source folder; only PREFIX, DESTDIR and PATH
 * differ. ldconfig is stood in for, so that nothing outside the test's folder is touched. Runs
 * from the top folder of the source.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/process.h"

static char *dir;

/* Runs a line of shell with $D, the test's folder, and $B, the build folder. */
static int shell(const char *line, char **err)
{
    g_autofree char *script =
        g_strdup_printf("unset MAKEFLAGS MFLAGS MAKELEVEL PREFIX DESTDIR; %s", line);
    return test_run_words(NULL, err, "sh", "-ec", script, NULL);
}

static void expect_shell(const char *line)
{
    g_autofree char *err = NULL;
    int status = shell(line, &err);
    if (status)
        test_fatal("%s: exit %d: %s", line, status, err);
}

static void installs_below_folders_with_spaces(void **state)
{
    (void)state;
    expect_shell("make -s install BUILD=\"$B\" DESTDIR=\"$D/a  b\" PREFIX=\"/usr x\"");
    expect_shell("cd \"$D/a  b/usr x\" && test -x bin/ox && test -x bin/ox-worker && "
                 "test -x libexec/ox-handler && test -x libexec/ox-handler-image && test -e "
                 "lib/libox.so && test -e include/ox.h && "
                 "test -e share/man/man1/ox.1 && test -e share/ox/worker.conf");
    expect_shell("test \"$(ls \"$D\")\" = 'a  b' && test ! -e x");
    expect_shell("grep -qx 'prefix=/usr\\\\ x' \"$D/a  b/usr x/lib/pkgconfig/ox.pc\"");
    g_autofree char *made = g_build_filename(dir, "a  b", NULL);
    test_remove(made);
}

/* systemd has nothing to say against the units, wherever Ox is. */
static void units_are_good(void **state)
{
    (void)state;
    g_autofree char *analyze = g_find_program_in_path("systemd-analyze");
    expect_shell("make -s install BUILD=\"$B\" PREFIX=\"$D/u n%it\" 2>/dev/null");
    expect_shell("! grep '@[A-Z]*@' \"$D/u n%it/share/ox/\"*.service");
    if (analyze == NULL)
        skip();
    g_autofree char *err = NULL;
    int status =
        shell("cd \"$D/u n%it/share/ox\" && cp ox-worker@.service ox-worker@one.service && "
              "systemd-analyze verify --man=no ./ox-worker.service "
              "./ox-worker@one.service",
            &err);
    if (status || *err)
        test_fatal("exit %d: %s", status, err);
}

/* Each is what `ox completion` prints, where that shell looks for the completion of a program.
 */
static void shells_find_completions(void **state)
{
    (void)state;
    expect_shell("make -s install BUILD=\"$B\" DESTDIR=\"$D/shells\" PREFIX=/usr");
    expect_shell("cd \"$D/shells/usr/share\" && "
                 "\"$B/ox\" completion bash | cmp - bash-completion/completions/ox && "
                 "\"$B/ox\" completion zsh | cmp - zsh/site-functions/_ox && "
                 "\"$B/ox\" completion fish | cmp - fish/vendor_completions.d/ox.fish");
    expect_shell(
        "head -n 1 \"$D/shells/usr/share/zsh/site-functions/_ox\" | grep -qx '#compdef ox'");
}

static void refuses_relative_prefix(void **state)
{
    (void)state;
    g_autofree char *err = NULL;
    assert_int_not_equal(shell("make -s install BUILD=\"$B\" PREFIX=some/where", &err), 0);
    assert_non_null(strstr(err, "PREFIX is not an absolute path: some/where"));
    assert_int_not_equal(access("some", F_OK), 0);
}

/* An ldconfig that searches one folder and notes that it was run. */
static void stand_in_for_ldconfig(const char *searched)
{
    g_autofree char *path = g_build_filename(dir, "bin", "ldconfig", NULL);
    g_autofree char *script =
        g_strdup_printf("#!/bin/sh\n[ \"$1\" != -v ] || { echo '%s/%s/lib: (from x)'; exit; }\n"
                        "touch '%s/renewed'\n",
            dir, searched, dir);
    expect_shell("mkdir -p \"$D/bin\"");
    test_write(path, script, -1);
    expect_shell("chmod 755 \"$D/bin/ldconfig\"");
}

/* Else a program that was linked with -lox ends with "cannot open shared object file". */
static void loader_finds_the_library_or_user_is_told(void **state)
{
    (void)state;
    static const char line[] =
        "PATH=\"$D/bin:$PATH\" make -s install BUILD=\"$B\" PREFIX=\"$D/one\"";
    g_autofree char *searched = NULL;
    g_autofree char *elsewhere = NULL;
    g_autofree char *renewed = g_build_filename(dir, "renewed", NULL);
    stand_in_for_ldconfig("one");
    assert_int_equal(shell(line, &searched), 0);
    assert_string_equal(searched, "");
    assert_int_equal(access(renewed, F_OK), 0);

    test_remove(renewed);
    stand_in_for_ldconfig("two");
    assert_int_equal(shell(line, &elsewhere), 0);
    assert_non_null(strstr(elsewhere, "LD_LIBRARY_PATH="));
    assert_int_not_equal(access(renewed, F_OK), 0);
}

/* The system's pkg-config, but for modules that are hidden from it. */
static void hide_modules(const char *pattern)
{
    g_autofree char *path = g_build_filename(dir, "bin", "pkg-config", NULL);
    g_autofree char *real = g_find_program_in_path("pkg-config");
    assert_non_null(real);
    g_autofree char *script = g_strdup_printf(
        "#!/bin/sh\ncase \" $* \" in\n*' %s '*) exit 1 ;;\nesac\nexec '%s' \"$@\"\n", pattern,
        real);
    expect_shell("mkdir -p \"$D/bin\"");
    test_write(path, script, -1);
    expect_shell("chmod 755 \"$D/bin/pkg-config\"");
}

static void make_names_the_missing_package(void **state)
{
    (void)state;
    static const struct {
        const char *module, *object, *package;
    } cases[] = {
        { "vips", "worker/main.o", "libvips-dev" },
        { "libpq", "worker/main.o", "libpq-dev" },
        { "hiredis", "lib/base/buf.o", "libhiredis-dev" },
        { "libuv", "cli/main.o", "libuv1-dev" },
        { "glib-2.0", "lib/base/buf.o", "libglib2.0-dev" },
        { "cmocka", "tests/support/check.o", "libcmocka-dev" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *err = NULL;
        g_autofree char *line = g_strdup_printf(
            "PATH=\"$D/bin:$PATH\" make BUILD=\"$D/new\" \"$D/new/%s\"", cases[i].object);
        g_autofree char *why = g_strdup_printf("pkg-config does not find %s.", cases[i].module);
        g_autofree char *package = g_strdup_printf("(Debian: %s)", cases[i].package);
        hide_modules(cases[i].module);
        if (!shell(line, &err) || !strstr(err, why) || !strstr(err, "`make deps`") ||
            !strstr(err, package) || strstr(err, "error:"))
            test_fatal("without %s: %s", cases[i].module, err);
    }
}

static int begin(void **state)
{
    (void)state;
    dir = test_dir_new();
    g_setenv("D", dir, TRUE);
    g_setenv("B", test_build_dir(), TRUE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_remove(dir);
    g_free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(installs_below_folders_with_spaces),
        cmocka_unit_test(units_are_good),
        cmocka_unit_test(shells_find_completions),
        cmocka_unit_test(refuses_relative_prefix),
        cmocka_unit_test(loader_finds_the_library_or_user_is_told),
        cmocka_unit_test(make_names_the_missing_package),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
