/*
 * test_demo.c - the demo, as `make demo` runs it, with two small photos instead of six large
 * and a thousand clicks instead of 200,000.
 *
 * That it leaves nothing running is seen by the runner, which looks after every run.
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <vips/vips.h>

#include "../support/files.h"
#include "../support/process.h"

static char *photos, *folder; /* what goes in, and where the demo works */

static void make_photo_in(const char *in, const char *name)
{
    g_autofree char *path = g_build_filename(in, name, NULL);
    VipsImage *noise = NULL;
    VipsImage *bytes = NULL;
    if (vips_gaussnoise(&noise, 1800, 1200, "mean", 128.0, "sigma", 40.0, NULL) ||
        vips_cast_uchar(noise, &bytes, NULL) || vips_jpegsave(bytes, path, NULL))
        test_fatal("cannot make %s: %s", path, vips_error_buffer());
    g_object_unref(noise);
    g_object_unref(bytes);
}

static void make_photo(const char *name)
{
    make_photo_in(photos, name);
}

static int run_demo(const char *from, char **out, char **err)
{
    return test_run_words(out, err, "sh", "docs/demo.sh", test_build_dir(), from, NULL);
}

static void expect_file(const char *name)
{
    g_autofree char *path = g_build_filename(folder, "photos", "out", name, NULL);
    if (access(path, F_OK) < 0)
        test_fatal("the demo made no %s", path);
}

static void expect_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        test_fatal("no \"%s\" in: %.800s", part, text);
}

static void photos_go_in_and_variants_come_out(void **state)
{
    (void)state;
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    make_photo("plain.jpg");
    make_photo("it's \"odd\" & 100%.jpg");
    int status = run_demo(photos, &out, &err);
    if (status)
        test_fatal("exit %d: %s", status, err);
    expect_text(out, "2 of 2 compressed");
    expect_text(out, "\n2 photos ");
    expect_text(out, "\ncompleted\t2\n");
    expect_text(out, "\nfailedReason\t");
    expect_text(out, "\n$ ox bind 'car.*' images\n");
    expect_text(out, "-1\t4\n"); /* one event, four jobs */
    expect_text(out, "\nlistings  17|Volvo Amazon|9900\n");
    expect_text(out, "\nsellers   {\"mail\":\"Your Volvo Amazon is online.\"}\n");
    expect_text(out, "was published before\n");
    expect_text(out, "\nlag\t0\n");
    expect_text(out, "made 5 jobs of 1,005 events in ");
    expect_text(out, "\nstored in SQLite            1005 ");
    expect_text(out, "\npurchases seen live            5 ");
    expect_text(out, "\njobs of the replay             5 ");
    expect_text(out, "Everything is stopped again.");
    expect_file("posted.webp");
    expect_file("plain-1600.jpg");
    expect_file("plain-800.webp");
    expect_file("plain-card.jpg");
    expect_file("it's \"odd\" & 100%-card.jpg");
}

/* A telephone writes IMG_1.HEIC and IMG_1.JPG of one moment. */
static void photos_of_one_stem_keep_their_own_files(void **state)
{
    (void)state;
    g_autofree char *twins = test_dir_new();
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    make_photo_in(twins, "IMG.jpg");
    make_photo_in(twins, "IMG.jpeg");
    make_photo_in(twins, "na\u00efve and much longer than the table is wide.jpg");
    if (run_demo(twins, &out, &err))
        test_fatal("%s", err);
    expect_file("IMG.jpg-1600.jpg");
    expect_file("IMG.jpeg-1600.jpg");
    expect_file("IMG.jpg-card.jpg");
    expect_file("IMG.jpeg-card.jpg");
    const char *table = strstr(out, "\nphoto ");
    assert_non_null(table);
    g_auto(GStrv) lines = g_strsplit(table + 1, "\n", -1);
    for (char **line = lines; **line && !g_str_has_prefix(*line, "Originals"); line++)
        if (g_utf8_strlen(*line, -1) > 80)
            test_fatal("wider than 80 columns: %s", *line);
    test_remove(twins);
}

static bool is_gone(void *arg)
{
    return kill(*(pid_t *)arg, 0) < 0;
}

/* `make demo | head` ends the demo when head does, and all that it has started. */
static void reader_that_goes_away_ends_all(void **state)
{
    (void)state;
    g_autofree char *line =
        g_strdup_printf("sh docs/demo.sh '%s' '%s' 2>&1 | head -n 2", test_build_dir(), photos);
    const char *const argv[] = { "sh", "-c", line, NULL };
    struct test_process *demo = test_start(argv, NULL);
    assert_int_equal(test_process_wait(demo, 30000), 0);
    g_autofree char *out = test_process_out(demo);
    expect_text(out, "ox dev runs");
    g_autofree char *path = g_build_filename(folder, "redis", "lock", NULL);
    g_autofree char *lock = test_read(path, NULL);
    assert_true(lock && g_str_has_prefix(lock, "process "));
    pid_t dev = (pid_t)g_ascii_strtoll(lock + strlen("process "), NULL, 10);
    bool gone = dev > 0 && test_wait_for(10000, is_gone, &dev);
    test_process_free(demo);
    if (!gone)
        test_fatal("ox dev still runs: %s", lock);
}

static void reports_invalid_photos(void **state)
{
    (void)state;
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    g_autofree char *bad = g_build_filename(photos, "bad.jpg", NULL);
    test_write(bad, "no photo", -1);
    assert_int_equal(run_demo(photos, &out, &err), 1);
    expect_text(out, "failed\n");
    assert_string_equal(err, "demo: 1 of 3 photos could not be compressed\n");
}

static void rejects_non_directory(void **state)
{
    (void)state;
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    assert_int_equal(run_demo("/nonexistent", &out, &err), 1);
    assert_string_equal(err, "demo: PHOTOS=/nonexistent is no folder\n");
}

static void keeps_foreign_directory(void **state)
{
    (void)state;
    g_autofree char *mark = g_build_filename(folder, ".made-by-ox-demo", NULL);
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    assert_int_equal(unlink(mark), 0);
    assert_int_equal(run_demo(photos, &out, &err), 1);
    expect_text(err, "not mine");
    expect_file("plain-card.jpg");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(photos_go_in_and_variants_come_out),
        cmocka_unit_test(photos_of_one_stem_keep_their_own_files),
        cmocka_unit_test(reader_that_goes_away_ends_all),
        cmocka_unit_test(reports_invalid_photos),
        cmocka_unit_test(rejects_non_directory),
        cmocka_unit_test(keeps_foreign_directory),
    };
    (void)argc;
    if (VIPS_INIT(argv[0]))
        return 1;
    photos = test_dir_new();
    g_autofree char *parent = test_dir_new();
    folder = g_build_filename(parent, "demo", NULL);
    g_setenv("OX_DEMO_DIR", folder, TRUE);
    g_setenv("OX_DEMO_CLICKS", "1000", TRUE);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    g_free(photos);
    g_free(folder);
    vips_shutdown();
    return failed;
}
