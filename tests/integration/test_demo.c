/*
 * test_demo.c - the demo, as `make demo` runs it, with two small photos instead of six large.
 *
 * That it leaves nothing running is seen by the runner, which looks after every run.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <unistd.h>
#include <vips/vips.h>

#include "../support/files.h"
#include "../support/process.h"

static char *photos, *folder; /* what goes in, and where the demo works */

static void make_photo(const char *name)
{
    g_autofree char *path = g_build_filename(photos, name, NULL);
    VipsImage *noise = NULL;
    VipsImage *bytes = NULL;
    if (vips_gaussnoise(&noise, 1800, 1200, "mean", 128.0, "sigma", 40.0, NULL) ||
        vips_cast_uchar(noise, &bytes, NULL) || vips_jpegsave(bytes, path, NULL))
        test_fatal("cannot make %s: %s", path, vips_error_buffer());
    g_object_unref(noise);
    g_object_unref(bytes);
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
    expect_text(out, "Everything is stopped again.");
    expect_file("plain-1600.jpg");
    expect_file("plain-800.webp");
    expect_file("plain-card.jpg");
    expect_file("it's \"odd\" & 100%-card.jpg");
}

static void photos_that_are_none_are_told(void **state)
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

static void a_folder_that_is_none_is_refused(void **state)
{
    (void)state;
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    assert_int_equal(run_demo("/nonexistent", &out, &err), 1);
    assert_string_equal(err, "demo: PHOTOS=/nonexistent is no folder\n");
}

static void a_folder_of_others_is_not_thrown_away(void **state)
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
        cmocka_unit_test(photos_that_are_none_are_told),
        cmocka_unit_test(a_folder_that_is_none_is_refused),
        cmocka_unit_test(a_folder_of_others_is_not_thrown_away),
    };
    (void)argc;
    if (VIPS_INIT(argv[0]))
        return 1;
    photos = test_dir_new();
    g_autofree char *parent = test_dir_new();
    folder = g_build_filename(parent, "demo", NULL);
    g_setenv("OX_DEMO_DIR", folder, TRUE);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    g_free(photos);
    g_free(folder);
    vips_shutdown();
    return failed;
}
