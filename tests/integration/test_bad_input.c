/*
 * test_bad_input.c - what people get wrong, given to all three: ox, ox-worker and libox.
 *
 * Each must refuse it with one line and the exit status or code that fits, and leave nothing
 * half-written: no key in Redis, no file on disk. The programs are run as they are installed;
 * what one part does with its own input in more detail is tested beside that part.
 */
#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/ran.h"
#include "../support/redis.h"

#define DEADLINE_MS 30000

/* ---- all three --------------------------------------------------------------------------- */

static int lib_open(const char *url, const char *queue_name, ox_client **client,
    ox_queue **queue, ox_error *err)
{
    const ox_client_options options = { .url = url, .connect_tries = 1 };
    int code = ox_client_new(client, &options, err);
    return code < 0 ? code : ox_queue_new(queue, *client, queue_name, NULL, err);
}

/* The library refuses a server or a queue with `code` and a sentence. */
static void expect_lib_refusal(const char *url, const char *queue_name, int code)
{
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    int got = lib_open(url, queue_name, &client, &queue, &err);
    if (got != code || err.code != code || !*err.text)
        test_fatal("%s %s: code %d instead of %d: %s", url, queue_name, got, code, err.text);
    ox_queue_free(queue);
    ox_client_free(client);
}

static void expect_nothing_stored(void)
{
    redisReply *keys = test_redis_command(redis, "KEYS *");
    if (keys->elements)
        test_fatal("%s was written", keys->element[0]->str);
    freeReplyObject(keys);
}

/* ox, by three kinds of verbs, refuses a server with this status. */
static void expect_ox_refuses(const char *url, int status, const char *why)
{
    ox("--redis", url, "add", "q", "n", "{}");
    expect_refusal(status, why);
    ox("--redis", url, "queues");
    expect_refusal(status, why);
    ox("--redis", url, "events", "q");
    expect_refusal(status, why);
}

/* So does ox-worker. */
static void expect_programs_refuse(const char *url, int status, const char *why)
{
    expect_ox_refuses(url, status, why);
    run_with(NULL, WORDS("ox-worker", "--redis", url, "q=echo"));
    expect_refusal(status, why);
}

/* ---- the server -------------------------------------------------------------------------- */

/* (ox-worker waits for one.) */
static void no_server_there(void **state)
{
    (void)state;
    static const char *const urls[] = { "unix:///no/such/socket", "redis://127.0.0.1:1" };
    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
        expect_ox_refuses(urls[i], 1, "cannot connect to Redis at ");
        expect_lib_refusal(urls[i], "q", OX_ECONNECT);
    }
}

static void a_wrong_password(void **state)
{
    (void)state;
    struct test_redis *locked = test_redis_start(WORDS("--requirepass", "not to be guessed"));
    static const char *const forms[] = { "unix://%s", "unix://:guess@%s",
        "unix://user:guess@%s" };
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        g_auto(GStrv) parts = g_strsplit(forms[i], "%s", 2);
        g_autofree char *url = g_strconcat(parts[0], locked->socket, NULL);
        expect_programs_refuse(url, 1, "Redis refused the credentials");
        assert_null(strstr(ran.err, "guess@"));
        expect_lib_refusal(url, "q", OX_EAUTH);
    }
    test_redis_stop(locked);
}

static void invalid_url(void **state)
{
    (void)state;
    static const char *const urls[] = { "nonsense", "http://h", "redis://h:0", "redis://h:port",
        "redis://h/db", "redis://[::1", "unix://", "unix://relative", "unix:///s?db=x",
        "redis://us%zzer@h" };
    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
        expect_programs_refuse(urls[i], 2, "bad Redis URL: ");
        expect_lib_refusal(urls[i], "q", OX_EINVAL);
    }
}

/* ---- names and ids ----------------------------------------------------------------------- */

static void invalid_queue_name(void **state)
{
    (void)state;
    static const char *const names[] = { "a:b", ":", "", "q\xff" };
    const char *url = test_redis_url(redis);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *word = g_strconcat(names[i], "=echo", NULL);
        ox("add", names[i], "n");
        expect_refusal(2, "name");
        ox("pause", names[i]);
        expect_refusal(2, "name");
        ox_with("{\"name\":\"n\"}", WORDS("import", names[i]));
        expect_refusal(2, "name");
        ox_with("{\"name\":\"n\"}", WORDS("flow", names[i]));
        expect_refusal(2, "name");
        run_with(NULL, WORDS("ox-worker", "--redis", url, word));
        expect_refusal(2, *names[i] ? "queue name" : "is neither QUEUE[/NAME]=HANDLER");
        expect_lib_refusal(url, names[i], OX_EINVAL);
    }
    expect_nothing_stored();
}

static void expect_lib_refuses_id(const char *id)
{
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    const ox_job_options options = { .id = id };
    const ox_new_job jobs[] = { { .name = "fine" }, { .name = "n", .options = &options } };
    assert_int_equal(lib_open(test_redis_url(redis), "q", &client, &queue, &err), 0);
    assert_int_equal(ox_queue_add(queue, "n", NULL, &options, NULL, &err), OX_EINVAL);
    assert_int_equal(ox_queue_add_bulk(queue, jobs, 2, NULL, &err), OX_EINVAL);
    ox_queue_free(queue);
    ox_client_free(client);
}

static void ids_that_the_layout_forbids(void **state)
{
    (void)state;
    static const char *const ids[] = { "12", "0", "0:1", "a:b", "a:b:c:d", "wait", "meta",
        "events", "x:lock", "" };
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autofree char *line =
            g_strdup_printf("{\"name\":\"n\",\"opts\":{\"jobId\":\"%s\"}}", ids[i]);
        ox("add", "q", "n", "--id", ids[i]);
        expect_refusal(2, "job id");
        ox_with(line, WORDS("import", "q"));
        expect_refusal(1, "line 1: ");
        ox_with(line, WORDS("flow", "q"));
        expect_refusal(2, "job id");
        expect_lib_refuses_id(ids[i]);
    }
    ox("add", "q", "n", "--id", "\xff");
    expect_refusal(2, "UTF-8");
    ox("add", "q", "\xff");
    expect_refusal(2, "UTF-8");
    expect_nothing_stored();
}

/* ---- data -------------------------------------------------------------------------------- */

static void expect_lib_refuses_data(const char *json)
{
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    const ox_new_job jobs[] = { { .name = "fine" }, { .name = "n", .json = json } };
    assert_int_equal(lib_open(test_redis_url(redis), "q", &client, &queue, &err), 0);
    assert_int_equal(ox_queue_add(queue, "n", json, NULL, NULL, &err), OX_EINVAL);
    assert_int_equal(ox_queue_add_bulk(queue, jobs, 2, NULL, &err), OX_EINVAL);
    assert_int_equal(ox_queue_update_data(queue, "1", json, &err), OX_EINVAL);
    assert_int_equal(ox_queue_update_progress(queue, "1", json, &err), OX_EINVAL);
    ox_queue_free(queue);
    ox_client_free(client);
}

static void invalid_json_data(void **state)
{
    (void)state;
    static const char *const texts[] = { "hello", "{\"a\":", "{a:1}", "[1,2", "1 2", "'x'",
        "nul", "{\"a\":1,}", "\"\xff\"", "" };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        ox("add", "q", "n", texts[i]);
        expect_refusal(2, "data is ");
        ox_with(texts[i], WORDS("add", "q", "n", "-"));
        expect_refusal(2, "data in standard input is not JSON");
        ox_with(texts[i], WORDS("flow", "q"));
        expect_refusal(2, "the flow is not JSON");
        ox("schedule", "set", "q", "s", "n", texts[i], "--every", "1h");
        expect_refusal(2, "data is ");
        expect_lib_refuses_data(texts[i]);
        if (!*texts[i])
            continue; /* an empty line is no line */
        ox_with(texts[i], WORDS("import", "q", "--name", "n"));
        expect_refusal(1, "line 1: the job data is not JSON");
        ox_with(texts[i], WORDS("import", "q"));
        expect_refusal(1, "line 1: ");
    }
    ox("add", "q", "n", "@/no/such/file");
    expect_refusal(1, "/no/such/file");
    expect_nothing_stored();
}

/* ---- what is not there ------------------------------------------------------------------- */

static void an_unknown_job(void **state)
{
    (void)state;
    static const char *const verbs[] = { "job q nope", "job q 99 --json", "job q 99 --follow",
        "explain q 99", "retry q 99", "promote q 99", "rm q 99", "update q 99 --data 1",
        "update q 99 --log x", "update q 99 --priority 3", "update q 99 --delay 1h",
        "add q n --parent q:99", "job nowhere 1" };
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        g_auto(GStrv) words = g_strsplit(verbs[i], " ", -1);
        ox_with(NULL, (const char *const *)words);
        expect_refusal(3, "job");
    }
    expect_nothing_stored();
}

static void an_unknown_state_verb_or_option(void **state)
{
    (void)state;
    static const char *const lines[] = { "ox jobs q --state runing", "ox clean q --state x",
        "ox retry q --all --state active", "ox frobnicate q", "ox schedule lst q",
        "ox counts q --bogus", "ox add q n --delya 5s", "ox -x", "ox jobs q --limit many",
        "ox-worker --bogus q=echo", "ox-worker q=nosuch", "ox-worker q", "ox-worker",
        "ox-worker q=echo --concurrency 0", "ox-worker q=echo --timeout soon",
        "ox-worker q=echo --log-level loud", "ox-worker q=image",
        "ox-worker q=image --root /no/such/folder", "ox-worker q=echo q=noop",
        "ox-worker q=echo --name w\xc3\xb6rker",
        "ox-worker q=echo --prefix=", "ox queues --prefix=" };
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", -1);
        run_with(NULL, (const char *const *)words);
        expect_refusal(2, "--help)\n");
    }
    expect_nothing_stored();
}

/* ---- photos ------------------------------------------------------------------------------ */

/* A folder as its owner sees it, and one above it that no job may touch. */
struct yard {
    char *above, *root;
    struct test_process *worker;
};

static void make_photo(const char *path)
{
    VipsImage *noise = NULL, *bytes = NULL;
    if (vips_gaussnoise(&noise, 400, 300, NULL) || vips_cast_uchar(noise, &bytes, NULL) ||
        vips_jpegsave(bytes, path, NULL))
        test_fatal("cannot make %s: %s", path, vips_error_buffer());
    g_object_unref(noise);
    g_object_unref(bytes);
}

static void fill_yard(const struct yard *yard)
{
    g_autofree char *photo = g_build_filename(yard->root, "photo.jpg", NULL);
    g_autofree char *cut = g_build_filename(yard->root, "cut.jpg", NULL);
    g_autofree char *text = g_build_filename(yard->root, "text.jpg", NULL);
    g_autofree char *empty = g_build_filename(yard->root, "empty.jpg", NULL);
    g_autofree char *link = g_build_filename(yard->root, "link.jpg", NULL);
    g_autofree char *away = g_build_filename(yard->root, "away", NULL);
    g_autofree char *locked = g_build_filename(yard->root, "locked", NULL);
    g_autofree char *outside = g_build_filename(yard->above, "outside.jpg", NULL);
    size_t bytes;
    make_photo(photo);
    make_photo(outside);
    g_autofree char *whole = test_read(photo, &bytes);
    test_write(cut, whole, (long)bytes / 2);
    test_write(text, "I am no photo", -1);
    test_write(empty, "", 0);
    assert_int_equal(symlink("../outside.jpg", link), 0);
    assert_int_equal(symlink("..", away), 0);
    assert_int_equal(mkdir(locked, 0555), 0);
}

/* Root may write anywhere, unless it gives that up. */
static struct test_process *start_worker(const struct yard *yard)
{
    static const char *const humble[] = { "setpriv",
        "--bounding-set=-dac_override,-dac_read_search", NULL };
    const char *const words[] = { "ox-worker", "--root", yard->root, "photos=image", NULL };
    g_autofree char *program = test_program("ox-worker");
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    for (size_t i = 0; geteuid() == 0 && humble[i]; i++)
        g_ptr_array_add(argv, (gpointer)humble[i]);
    g_ptr_array_add(argv, program);
    for (size_t i = 1; words[i]; i++)
        g_ptr_array_add(argv, (gpointer)words[i]);
    g_ptr_array_add(argv, NULL);
    return test_start((const char *const *)argv->pdata, NULL);
}

static int open_yard(void **state)
{
    struct yard *yard = g_new0(struct yard, 1);
    yard->above = test_dir_new();
    yard->root = g_build_filename(yard->above, "root", NULL);
    assert_int_equal(mkdir(yard->root, 0700), 0);
    fill_yard(yard);
    yard->worker = start_worker(yard);
    *state = yard;
    return 0;
}

static int close_yard(void **state)
{
    struct yard *yard = *state;
    test_process_free(yard->worker);
    test_remove(yard->above);
    g_free(yard->above);
    g_free(yard->root);
    g_free(yard);
    freeReplyObject(test_redis_command(redis, "FLUSHALL"));
    return 0;
}

/* Names and sizes of all that lies below a folder, sorted; links are not followed. */
static void list_folder(GPtrArray *list, const char *path)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;
    while (folder && (name = g_dir_read_name(folder))) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        struct stat info;
        if (lstat(child, &info) < 0)
            continue;
        long long size = S_ISREG(info.st_mode) ? (long long)info.st_size : -1;
        g_ptr_array_add(list, g_strdup_printf("%s %lld\n", child, size));
        if (S_ISDIR(info.st_mode))
            list_folder(list, child);
    }
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *listing(const char *path)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    list_folder(list, path);
    g_ptr_array_sort(list, by_name);
    g_ptr_array_add(list, NULL);
    return g_strjoinv("", (char **)list->pdata);
}

static const struct {
    const char *data, *why;
    bool may_pass_later; /* worth another attempt */
} bad_photos[] = {
    { "{\"input\":\"missing.jpg\"}", "does not exist", true },
    { "{\"input\":\"text.jpg\"}", "is not an image that can be read", false },
    { "{\"input\":\"empty.jpg\"}", "is empty", true },
    { "{\"input\":\"cut.jpg\"}", "damaged or cut short", false },
    { "{\"input\":\"../outside.jpg\"}", "holds '..'", false },
    { "{\"input\":\"/etc/passwd\"}", "is an absolute path", false },
    { "{\"input\":\"link.jpg\"}", "leaves the root folder", false },
    { "{\"input\":\"away/outside.jpg\"}", "leaves the root folder", false },
    { "{\"input\":\"photo.jpg\",\"outputs\":[{\"file\":\"../o.jpg\"}]}", "holds '..'", false },
    { "{\"input\":\"photo.jpg\",\"outputs\":[{\"file\":\"away/o.jpg\"}]}",
        "leaves the root folder", false },
    { "{\"input\":\"photo.jpg\",\"outputs\":[{\"file\":\"fine.jpg\"},"
      "{\"file\":\"locked/o.jpg\"}]}",
        "cannot be written: Permission denied", true },
    { "{\"input\":\"photo.jpg\",\"outputs\":[{\"file\":\"text.jpg/o.jpg\"}]}",
        "goes through something that is not a folder", false },
    { "{\"input\":\"photo.jpg\",\"outputs\":[{\"file\":\"fine.jpg\"},{\"file\":\"photo.jpg\"}]"
      "}",
        "is the input itself", false },
    { "{\"input\":\"photo.jpg\",\"outputs\":[{\"file\":\"fine.jpg\",\"widht\":5}]}",
        "unknown field \"widht\"", false },
    { "{\"input\":5}", "input must be a text", false },
    { "[]", "must be an object", false },
};

/* The job fails with its reason, after one attempt when no other can help, and the folder is
 * as it was: not one of several outputs was left. */
static void invalid_photos(void **state)
{
    const struct yard *yard = *state;
    g_autofree char *before = listing(yard->above);
    for (size_t i = 0; i < G_N_ELEMENTS(bad_photos); i++) {
        ox("add", "photos", "compress", bad_photos[i].data, "--attempts", "2", "--json",
            "--wait=30s");
        if (ran.status != 1 || !strstr(ran.out, "\"state\":\"failed\"") ||
            !strstr(ran.err, bad_photos[i].why))
            told();
        long long made = test_redis_int(redis, "HGET bull:photos:%d atm", (int)i + 1);
        if (made != (bad_photos[i].may_pass_later ? 2 : 1))
            test_fatal("%s: %lld attempts", bad_photos[i].data, made);
    }
    g_autofree char *after = listing(yard->above);
    assert_string_equal(after, before);
    ox("add", "photos", "compress", "{\"input\":\"photo.jpg\"}", "--wait=30s");
    assert_int_equal(ran.status, 0);
}

/* ------------------------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_server_there),
        cmocka_unit_test(a_wrong_password),
        cmocka_unit_test(invalid_url),
        cmocka_unit_test(invalid_queue_name),
        cmocka_unit_test(ids_that_the_layout_forbids),
        cmocka_unit_test(invalid_json_data),
        cmocka_unit_test(an_unknown_job),
        cmocka_unit_test(an_unknown_state_verb_or_option),
        cmocka_unit_test_setup_teardown(invalid_photos, open_yard, close_yard),
    };
    (void)argc;
    if (VIPS_INIT(argv[0]))
        return 1;
    int failed = cmocka_run_group_tests(tests, ran_begin, ran_end);
    vips_shutdown();
    return failed;
}
