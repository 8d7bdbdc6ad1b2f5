/*
 * test_kill.c - a worker dies in the middle of 200 image jobs; nothing is lost.
 *
 * Two workers share a queue. One is killed with SIGKILL while both hold jobs. The other must
 * find them by their expired locks and run them again, every job must complete, and every
 * output must be a whole image of the size asked for, with nothing half-written beside it.
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"

#define JOBS 200
#define SOURCES 4
#define KILL_AFTER 30 /* completed jobs */
#define OUT_WIDTH 160
#define OUT_HEIGHT 120

struct fleet {
    struct test_redis *redis;
    char *root;
    struct test_process *victim, *survivor;
};

static void make_source(const char *root, int number)
{
    g_autofree char *path = g_strdup_printf("%s/in-%d.jpg", root, number);
    VipsImage *noise = NULL;
    VipsImage *bytes = NULL;
    if (vips_gaussnoise(
            &noise, 1280, 960, "mean", 128.0, "sigma", 40.0, "seed", number, NULL) ||
        vips_cast_uchar(noise, &bytes, NULL) || vips_jpegsave(bytes, path, NULL))
        test_fatal("cannot make %s: %s", path, vips_error_buffer());
    g_object_unref(noise);
    g_object_unref(bytes);
}

/* All jobs by one call of `ox import`: one data line a job. */
static void add_jobs(const struct fleet *fleet)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    const char *const argv[] = { "ox", "--redis", test_redis_url(fleet->redis), "import",
        "images", "--name", "compress", NULL };
    g_autofree char *err = NULL;
    for (int i = 0; i < JOBS; i++)
        g_string_append_printf(lines,
            "{\"input\": \"in-%d.jpg\", \"outputs\": ["
            "{\"file\": \"out/%d.jpg\", \"width\": %d, \"height\": %d, \"fit\": \"cover\"},"
            "{\"file\": \"out/%d.webp\", \"width\": %d, \"height\": %d, \"fit\": "
            "\"cover\"}]}\n",
            i % SOURCES, i, OUT_WIDTH, OUT_HEIGHT, i, OUT_WIDTH, OUT_HEIGHT);
    int status = test_run(argv, lines->str, NULL, &err);
    if (status)
        test_fatal("ox import: exit %d: %s", status, err);
    assert_int_equal(test_redis_int(fleet->redis, "LLEN bull:images:wait"), JOBS);
}

static struct test_process *start_worker(const struct fleet *fleet, const char *name)
{
    const char *const argv[] = { "ox-worker", "--redis", test_redis_url(fleet->redis), "--root",
        fleet->root, "--concurrency", "2", "--lock", "1s", "--name", name, "images=image",
        NULL };
    return test_start(argv, NULL);
}

static int setup(void **state)
{
    struct fleet *fleet = g_new0(struct fleet, 1);
    fleet->redis = test_redis_start(NULL);
    fleet->root = test_dir_new();
    g_autofree char *out = g_build_filename(fleet->root, "out", NULL);
    g_mkdir_with_parents(out, 0700);
    for (int i = 0; i < SOURCES; i++)
        make_source(fleet->root, i);
    *state = fleet;
    return 0;
}

static int teardown(void **state)
{
    struct fleet *fleet = *state;
    test_process_free(fleet->victim);
    test_process_free(fleet->survivor);
    test_redis_stop(fleet->redis);
    g_free(fleet->root);
    g_free(fleet);
    return 0;
}

/* Jobs in `active` that were taken by that worker. */
static int held_by(struct test_redis *redis, const char *worker)
{
    int held = 0;
    redisReply *ids = test_redis_command(redis, "LRANGE bull:images:active 0 -1");
    for (size_t i = 0; i < ids->elements; i++) {
        g_autofree char *by =
            test_redis_text(redis, "HGET bull:images:%s pb", ids->element[i]->str);
        held += by && !strcmp(by, worker);
    }
    freeReplyObject(ids);
    return held;
}

static bool is_in_the_middle(void *arg)
{
    struct fleet *fleet = arg;
    return test_redis_int(fleet->redis, "ZCARD bull:images:completed") >= KILL_AFTER &&
           held_by(fleet->redis, "victim") > 0 && held_by(fleet->redis, "survivor") > 0;
}

static bool all_have_ended(void *arg)
{
    struct fleet *fleet = arg;
    return test_redis_int(fleet->redis, "ZCARD bull:images:completed") +
               test_redis_int(fleet->redis, "ZCARD bull:images:failed") >=
           JOBS;
}

/* Opens and decodes one output whole. */
static void check_output(const char *root, int number, const char *ending)
{
    g_autofree char *path = g_strdup_printf("%s/out/%d.%s", root, number, ending);
    double mean = 0;
    VipsImage *image = vips_image_new_from_file(path, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    if (!image || vips_avg(image, &mean, NULL))
        test_fatal("%s does not open: %s", path, vips_error_buffer());
    assert_int_equal(vips_image_get_width(image), OUT_WIDTH);
    assert_int_equal(vips_image_get_height(image), OUT_HEIGHT);
    assert_true(mean > 100 && mean < 156); /* the noise has a mean of 128 */
    g_object_unref(image);
}

static int files_in(const char *folder)
{
    int count = 0;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    while (dir && g_dir_read_name(dir))
        count++;
    return count;
}

static int times_stalled(struct test_redis *redis)
{
    int total = 0;
    for (int i = 1; i <= JOBS; i++)
        total += (int)test_redis_int(redis, "HGET bull:images:%d stc", i);
    return total;
}

static void every_job_survives_the_death_of_its_worker(void **state)
{
    struct fleet *fleet = *state;
    struct test_redis *redis = fleet->redis;
    g_autofree char *out = g_build_filename(fleet->root, "out", NULL);

    add_jobs(fleet);
    fleet->victim = start_worker(fleet, "victim");
    fleet->survivor = start_worker(fleet, "survivor");
    if (!test_wait_for(30000, is_in_the_middle, fleet)) {
        g_autofree char *said = test_process_err(fleet->victim);
        test_fatal("the jobs do not start; the worker said: %.900s", said);
    }
    test_process_signal(fleet->victim, SIGKILL);
    assert_int_equal(test_process_wait(fleet->victim, 5000), 128 + SIGKILL);
    int left = held_by(redis, "victim");
    assert_true(left > 0);

    assert_true(test_wait_for(60000, all_have_ended, fleet));
    assert_int_equal(test_redis_int(redis, "ZCARD bull:images:completed"), JOBS);
    assert_int_equal(test_redis_int(redis, "ZCARD bull:images:failed"), 0);
    assert_int_equal(test_redis_int(redis, "LLEN bull:images:active"), 0);
    assert_int_equal(times_stalled(redis), left);
    for (int i = 0; i < JOBS; i++) {
        check_output(fleet->root, i, "jpg");
        check_output(fleet->root, i, "webp");
    }
    assert_int_equal(files_in(out), 2 * JOBS * 2); /* each with its record, nothing else */

    test_process_signal(fleet->survivor, SIGTERM);
    assert_int_equal(test_process_wait(fleet->survivor, 10000), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            every_job_survives_the_death_of_its_worker, setup, teardown),
    };
    (void)argc;
    if (VIPS_INIT(argv[0]))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vips_shutdown();
    return failed;
}
