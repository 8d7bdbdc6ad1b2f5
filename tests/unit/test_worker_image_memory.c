/*
 * test_worker_image_memory.c - the memory of a job does not grow with the number of its
 * outputs, and pictures that feed others cost no visible quality.
 */
#include "photos.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { WIDTH = 4000, HEIGHT = 3000, SIZES = 12 };

/* Twelve sizes of which none is half of another, or the same halved from one to the next. */
static char *job_of(int first, int count, double step)
{
    g_autoptr(GString) data = g_string_new("{\"input\":\"much/in.jpg\",\"outputs\":[");
    double width = first;
    for (int i = 0; i < count; i++, width *= step)
        g_string_append_printf(data, "%s{\"file\":\"much/%d.jpg\",\"width\":%d}",
            i > 0 ? "," : "", (int)width, (int)width);
    g_string_append(data, "]}");
    return g_string_free(g_steal_pointer(&data), FALSE);
}

/* Peak of this process since it began, in bytes. */
static int64_t peak(void)
{
    g_autofree char *status = test_read("/proc/self/status", NULL);
    const char *line = status ? strstr(status, "VmHWM:") : NULL;
    return line ? strtoll(line + strlen("VmHWM:"), NULL, 10) * 1024 : -1;
}

/* Runs the job in a process of its own and prints what it took at most. */
static int measured_main(char **args)
{
    char *problem = NULL;
    root = args[1];
    set_options();
    if (!image_handler.init(&config, false, &problem) || run(args[2]) != HANDLER_DONE)
        return 1;
    printf("%lld\n", (long long)peak());
    return 0;
}

static int64_t memory_of(const char *data)
{
    char self[] = "measured";
    g_autofree char *copy = g_strdup(data), *out = NULL;
    char program[] = "/proc/self/exe";
    char *args[] = { program, self, root, copy, NULL };
    int status = -1;
    g_autoptr(GError) error = NULL;
    if (!g_spawn_sync(NULL, args, NULL, G_SPAWN_FILE_AND_ARGV_ZERO, NULL, NULL, &out, NULL,
            &status, &error))
        test_fatal("%s", error->message);
    assert_int_equal(status, 0);
    return strtoll(out, NULL, 10);
}

static void many_outputs_take_hardly_more_than_two(void **state)
{
    (void)state;
    save(paint_photo(WIDTH, HEIGHT), "much/in.jpg");
    g_autofree char *two = job_of(3900, 2, 0.95), *many = job_of(3900, SIZES, 0.95);
    int64_t decoded = (int64_t)WIDTH * HEIGHT * 3;
    int64_t of_two = memory_of(two), of_many = memory_of(many);
    if (of_many - of_two > decoded)
        test_fatal("%d outputs take %lld MB, two %lld MB", SIZES, (long long)of_many >> 20,
            (long long)of_two >> 20);
}

static void fed_pictures_are_as_good(void **state)
{
    (void)state;
    save(paint_photo(1600, 1200), "much/in.jpg");
    static const int widths[] = { 1600, 1200, 1200, 800, 600, 400, 300, 200, 150, 100 };
    g_autoptr(GString) data = g_string_new("{\"input\":\"much/in.jpg\",\"outputs\":[");
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++)
        g_string_append_printf(data, "%s{\"file\":\"much/%zu.png\",\"width\":%d,\"effort\":1}",
            i > 0 ? "," : "", i, widths[i]);
    g_string_append(data, "]}");
    run_well(data->str);
    VipsImage *full = look("much/in.jpg");
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        VipsImage *wanted = NULL;
        g_autofree char *file = g_strdup_printf("much/%zu.png", i);
        VipsImage *made = look(file);
        vips_must(vips_resize(full, &wanted, widths[i] / 1600.0, NULL));
        double mean = difference(wanted, made);
        if (mean > 1)
            test_fatal("width %d differs by %.2f", widths[i], mean);
        g_object_unref(wanted);
        g_object_unref(made);
    }
    g_object_unref(full);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[0], "measured"))
        return measured_main(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_outputs_take_hardly_more_than_two),
        cmocka_unit_test(fed_pictures_are_as_good),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
