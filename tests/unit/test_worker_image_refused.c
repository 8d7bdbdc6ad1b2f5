/*
 * test_worker_image_refused.c - the image handler on bad input and in bad times: one clear
 * sentence, the right kind of failure, no output and no temporary file.
 */
#include "photos.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <utime.h>

/* A job that makes OUT (a JPEG) and a smaller WebP beside it from IN. */
static char *job(const char *in, const char *out)
{
    return g_strdup_printf("{\"input\":\"%s\",\"outputs\":[{\"file\":\"%s.jpg\"},"
                           "{\"file\":\"%s.webp\",\"width\":40}]}",
        in, out, out);
}

/* The job fails so, and in the folder of the outputs nothing comes to be. */
static void refused(enum handler_result result, const char *part, const char *in)
{
    age(in);
    g_autofree char *data = job(in, "refused/out");
    g_autofree char *alone = g_strdup_printf("{\"input\":\"%s\"}", in);
    run_badly(result, part, data);
    assert_true(count_files("refused") <= 0);
    run_badly(result, part, alone);
}

/* ---- What is not an image
 * -------------------------------------------------------------------- */

static void non_image_fails_for_good(void **state)
{
    (void)state;
    static const struct {
        const char *file, *content;
        long bytes; /* -1: up to the NUL */
        const char *part;
    } rows[] = {
        { "not/diary.jpg", "Dear diary, today I was a JPEG.", -1,
            "is not an image that can be" },
        { "not/short.jpg", "\xff\xd8", -1, "is not an image" },
        { "not/head-only.jpg", "\xff\xd8\xff\xe0 and then nothing like it", -1, "damaged" },
        { "not/page.png", "<html><img src='x'></html>", -1, "is not an image" },
        { "not/drawing.jpg", "<svg xmlns='http://www.w3.org/2000/svg'/>", -1,
            "is not an image" },
        { "not/paper.jpg", "%PDF-1.4\n1 0 obj\n", -1, "is not an image" },
        { "not/plain.jpg", "P6 1 1 255\n\1\1\1", -1, "is not an image" },
        { "not/magick.jpg", "push graphic-context\nfill 'url(https://x)'\n", -1,
            "is not an image" },
        { "not/film.jpg",
            "\0\0\0\x20"
            "ftypmp42",
            12, "is not an image" },
        { "not/photo.heic",
            "\0\0\0\x14"
            "ftypmif1\0\0\0\0mif1",
            20, "is damaged" },
    };
    make_folder("not");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = at(rows[i].file);
        test_write(path, rows[i].content, rows[i].bytes);
        refused(HANDLER_FATAL, rows[i].part, rows[i].file);
    }
}

static void rejects_non_files(void **state)
{
    (void)state;
    make_folder("kind/folder.jpg");
    g_autofree char *fifo = at("kind/fifo.jpg");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    refused(HANDLER_FATAL, "is a folder", "kind/folder.jpg");
    refused(HANDLER_FATAL, "is not a regular file", "kind/fifo.jpg");
}

/* It may be on its way. */
static void a_missing_input_may_come_later(void **state)
{
    (void)state;
    make_folder("gone");
    g_autofree char *empty = at("gone/empty.jpg");
    test_write(empty, "", 0);
    refused(HANDLER_RETRY, "input \"gone/empty.jpg\" is empty", "gone/empty.jpg");
    refused(HANDLER_RETRY, "input \"gone/in.jpg\" does not exist", "gone/in.jpg");
}

/* ---- Damage ------------------------------------------------------------------------------ */

static void rejects_truncated_files(void **state)
{
    (void)state;
    static const char *const endings[] = { "jpg", "png", "webp", "avif", "gif", "tif" };
    static const double shares[] = { 0.02, 0.3, 0.6, 0.95 };
    VipsImage *photo = paint_photo(500, 400);
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        g_autofree char *in = g_strdup_printf("cut/in.%s", endings[i]);
        save(g_object_ref(photo), in);
        g_autofree char *path = at(in);
        int64_t bytes = size_of(in);
        for (size_t j = G_N_ELEMENTS(shares); j-- > 0;) {
            assert_int_equal(truncate(path, (off_t)((double)bytes * shares[j])), 0);
            refused(HANDLER_FATAL, "is damaged or cut short", in);
        }
    }
    g_object_unref(photo);
}

/* As after an upload that broke off into a file of the full size. */
static void rejects_files_with_holes(void **state)
{
    (void)state;
    static const char *const endings[] = { "jpg", "png", "webp" };
    VipsImage *photo = paint_photo(800, 600);
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        g_autofree char *in = g_strdup_printf("hole/in.%s", endings[i]);
        save(g_object_ref(photo), in);
        g_autofree char *path = at(in);
        int64_t bytes = size_of(in);
        assert_int_equal(truncate(path, (off_t)(bytes / 2)), 0);
        assert_int_equal(truncate(path, (off_t)bytes), 0);
        refused(HANDLER_FATAL, "is damaged or cut short", in);
    }
    g_object_unref(photo);
}

/* A hole ends a picture of a GIF long before its last row. */
static void rejects_gif_files_that_go_on_with_other_bytes(void **state)
{
    (void)state;
    save(paint_photo(400, 300), "hole/mid.gif");
    g_autofree char *path = at("hole/mid.gif");
    static const char zeros[500] = { 0 };
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(
        pwrite(fd, zeros, sizeof zeros, (off_t)(size_of("hole/mid.gif") / 2)), 500);
    close(fd);
    refused(HANDLER_FATAL, "is damaged or cut short", "hole/mid.gif");
}

static void ignores_bytes_after_the_image(void **state)
{
    (void)state;
    save(paint_photo(300, 200), "rest/in.jpg");
    g_autofree char *path = at("rest/in.jpg");
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "and more", 8), 8);
    close(fd);
    run_well("{\"input\":\"rest/in.jpg\"}");
    expect_size("rest/in.min.jpg", 300, 200);
}

/* ---- Limits ------------------------------------------------------------------------------ */

static void put32(GByteArray *to, guint32 value)
{
    guint32 big = GUINT32_TO_BE(value);
    g_byte_array_append(to, (const guint8 *)&big, 4);
}

/* The check sum of PNG chunks, bit by bit. */
static guint32 crc_of(const guint8 *bytes, size_t len)
{
    guint32 crc = 0xffffffff;
    for (size_t i = 0; i < len * 8; i++) {
        if (i % 8 == 0)
            crc ^= bytes[i / 8];
        crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return ~crc;
}

static void put_chunk(GByteArray *to, const char *kind, const guint8 *data, guint32 len)
{
    put32(to, len);
    guint start = to->len;
    g_byte_array_append(to, (const guint8 *)kind, 4);
    g_byte_array_append(to, data, len);
    put32(to, crc_of(to->data + start, len + 4));
}

/* A hundred bytes that claim to be that many pixels. */
static void write_bomb(const char *file, guint32 width, guint32 height)
{
    g_autoptr(GByteArray) png = g_byte_array_new(), head = g_byte_array_new();
    /* Four zeros as zlib stores them. */
    static const guint8 packed[] = { 0x78, 1, 1, 4, 0, 0xfb, 0xff, 0, 0, 0, 0, 0, 4, 0, 1 };
    put32(head, width);
    put32(head, height);
    g_byte_array_append(head, (const guint8 *)"\x08\x02\0\0", 5);
    g_byte_array_append(png, (const guint8 *)"\x89PNG\r\n\x1a\n", 8);
    put_chunk(png, "IHDR", head->data, head->len);
    put_chunk(png, "IDAT", packed, sizeof packed);
    put_chunk(png, "IEND", NULL, 0);
    g_autofree char *path = at(file);
    test_write(path, (const char *)png->data, (long)png->len);
}

static void rejects_huge_dimensions_by_header(void **state)
{
    (void)state;
    make_folder("bomb");
    write_bomb("bomb/in.png", 50000, 50000);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    refused(HANDLER_FATAL, "is 50000 x 50000 pixels, 2500.0 million; the limit is 50.0 million",
        "bomb/in.png");
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 20 * 1024);
    /* One that is small enough to try is still found out. */
    write_bomb("bomb/in.png", 5000, 5000);
    refused(HANDLER_FATAL, "is damaged or cut short", "bomb/in.png");
}

static void operator_sets_limits(void **state)
{
    (void)state;
    save(paint_photo(400, 300), "limit/in.jpg");
    options.max_pixels = 400 * 300 - 1;
    refused(HANDLER_FATAL, "the limit is 0.1 million", "limit/in.jpg");
    options.max_pixels = 400 * 300;
    run_well("{\"input\":\"limit/in.jpg\"}");
    run_badly(HANDLER_FATAL, "would take 1.9 million pixels; the limit is 0.1 million",
        "{\"input\":\"limit/in.jpg\",\"outputs\":[{\"file\":\"limit/big.jpg\",\"width\":1600,"
        "\"enlarge\":true}]}");
    run_badly(HANDLER_FATAL, "would take",
        "{\"input\":\"limit/in.jpg\",\"outputs\":[{\"file\":\"limit/big.jpg\",\"width\":1600,"
        "\"height\":1600,\"fit\":\"contain\"}]}");
    options.max_pixels = 50000000;
    options.max_bytes = size_of("limit/in.jpg") - 1;
    refused(HANDLER_FATAL, "bytes; the limit is", "limit/in.jpg");
    options.max_bytes = size_of("limit/in.jpg");
    run_well("{\"input\":\"limit/in.jpg\"}");
    options.max_bytes = INT64_C(128) << 20;
}

static void sides_that_a_format_cannot_hold_are_refused(void **state)
{
    (void)state;
    static const double grey[] = { 90 };
    save(paint_flat(17000, 20, grey, 1), "side/in.png");
    run_badly(HANDLER_FATAL,
        "would be 17000 x 20; webp holds at most 16383 in one direction: give it a smaller "
        "width",
        "{\"input\":\"side/in.png\",\"outputs\":[{\"file\":\"side/out.webp\"}]}");
    run_well("{\"input\":\"side/in.png\",\"outputs\":[{\"file\":\"side/out.jpg\"}]}");
}

/* ---- Paths ------------------------------------------------------------------------------- */

static void make_link(const char *target, const char *file)
{
    g_autofree char *path = at(file);
    assert_int_equal(symlink(target, path), 0);
}

static void nothing_outside_the_root_is_read(void **state)
{
    (void)state;
    g_autofree char *outside = test_dir_new();
    g_autofree char *real = at("away/in.jpg");
    g_autofree char *secret = g_build_filename(outside, "secret.jpg", NULL);
    save(paint_photo(100, 80), "away/in.jpg");
    assert_int_equal(rename(real, secret), 0);
    make_link(outside, "away/folder");
    make_link(secret, "away/file.jpg");
    g_autofree char *up = g_strdup_printf("../%s/secret.jpg", strrchr(outside, '/') + 1);
    refused(HANDLER_FATAL, "leaves the root folder", "away/folder/secret.jpg");
    refused(HANDLER_FATAL, "leaves the root folder", "away/file.jpg");
    refused(HANDLER_FATAL, "holds '..'", up);
    refused(HANDLER_FATAL, "is an absolute path", secret);
    test_remove(outside);
}

static void nothing_outside_the_root_is_written(void **state)
{
    (void)state;
    g_autofree char *outside = test_dir_new();
    g_autofree char *target = g_build_filename(outside, "target.jpg", NULL);
    save(paint_photo(100, 80), "out/in.jpg");
    make_link(outside, "out/folder");
    run_badly(HANDLER_FATAL, "leaves the root folder",
        "{\"input\":\"out/in.jpg\",\"outputs\":[{\"file\":\"out/folder/a.jpg\"}]}");
    run_badly(HANDLER_FATAL, "leaves the root folder",
        "{\"input\":\"out/in.jpg\",\"outputs\":[{\"file\":\"out/folder/new/a.jpg\"}]}");
    run_badly(HANDLER_FATAL, "holds '..'",
        "{\"input\":\"out/in.jpg\",\"outputs\":[{\"file\":\"out/../../a.jpg\"}]}");
    /* A link where the output goes is replaced; what it leads to is not touched. */
    test_write(target, "precious", -1);
    make_link(target, "out/b.jpg");
    run_well("{\"input\":\"out/in.jpg\",\"outputs\":[{\"file\":\"out/b.jpg\"}]}");
    g_autofree char *kept = test_read(target, NULL);
    assert_string_equal(kept, "precious");
    expect_size("out/b.jpg", 100, 80);
    g_autoptr(GDir) dir = g_dir_open(outside, 0, NULL);
    assert_string_equal(g_dir_read_name(dir), "target.jpg");
    assert_null(g_dir_read_name(dir));
    test_remove(outside);
}

static void links_inside_the_root_are_followed(void **state)
{
    (void)state;
    save(paint_photo(100, 80), "near/store/in.jpg");
    make_link("store", "near/link");
    run_well("{\"input\":\"near/link/in.jpg\",\"outputs\":[{\"file\":\"near/link/out.jpg\"}]}");
    expect_size("near/store/out.jpg", 100, 80);
}

static void the_input_is_never_overwritten(void **state)
{
    (void)state;
    save(paint_photo(100, 80), "self/in.jpg");
    int64_t bytes = size_of("self/in.jpg");
    g_autofree char *path = at("self/in.jpg"), *twin = at("self/twin.jpg");
    assert_int_equal(link(path, twin), 0);
    static const char *const names[] = { "self/in.jpg", "./self//in.jpg", "self/twin.jpg" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *data = g_strdup_printf(
            "{\"input\":\"self/in.jpg\",\"outputs\":[{\"file\":\"%s\"}]}", names[i]);
        run_badly(HANDLER_FATAL, "is the input itself, which is never overwritten", data);
    }
    assert_int_equal(size_of("self/in.jpg"), bytes);
    assert_int_equal(count_files("self"), 2);
}

static void two_outputs_are_two_files(void **state)
{
    (void)state;
    save(paint_photo(100, 80), "twice/in.jpg");
    run_badly(HANDLER_FATAL, "two outputs are the same file \"twice/./a.jpg\"",
        "{\"input\":\"twice/in.jpg\",\"outputs\":[{\"file\":\"twice/a.jpg\"},"
        "{\"file\":\"twice/./a.jpg\"}]}");
    assert_int_equal(count_files("twice"), 1);
}

/* ---- Bad times --------------------------------------------------------------------------- */

static void rejects_non_directories(void **state)
{
    (void)state;
    save(paint_photo(100, 80), "wall/in.jpg");
    make_folder("wall/taken.jpg");
    run_badly(HANDLER_FATAL, "goes through something that is not a folder",
        "{\"input\":\"wall/in.jpg\",\"outputs\":[{\"file\":\"wall/in.jpg/a.jpg\"}]}");
    run_badly(HANDLER_FATAL, "output \"wall/taken.jpg\" is a folder",
        "{\"input\":\"wall/in.jpg\",\"outputs\":[{\"file\":\"wall/taken.jpg\"}]}");
    assert_int_equal(count_files("wall"), 2);
    assert_int_equal(count_files("wall/taken.jpg"), 0);
}

/* The first output is written whole before the second finds no room: neither may stay. */
static void a_full_disk_leaves_nothing_and_may_pass(void **state)
{
    (void)state;
    static const char data[] = "{\"input\":\"full/in.jpg\",\"outputs\":[{\"file\":\"full/out/"
                               "small.jpg\",\"width\":20},"
                               "{\"file\":\"full/out/large.png\"}]}";
    save(paint_photo(600, 400), "full/in.jpg");
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = (struct rlimit){ .rlim_cur = 20000, .rlim_max = old.rlim_max };
    void (*old_action)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    run(data);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, old_action);
    assert_int_equal(last.result, HANDLER_RETRY);
    assert_non_null(strstr(last.reason, "output \"full/out/large.png\" cannot be written"));
    assert_int_equal(count_files("full/out"), 0);
    run_well(data);
    assert_int_equal(count_files("full/out"), 2);
}

static void too_many_open_files_may_pass(void **state)
{
    (void)state;
    save(paint_photo(100, 80), "open/in.jpg");
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0);
    close(next);
    tight = (struct rlimit){ .rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    run("{\"input\":\"open/in.jpg\"}");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(last.result, HANDLER_RETRY);
    assert_non_null(strstr(last.reason, "Too many open files"));
    run_well("{\"input\":\"open/in.jpg\"}");
}

/* ---- Left behind by a killed worker ------------------------------------------------------ */

static const char stale_job[] =
    "{\"input\":\"stale/in.jpg\",\"outputs\":[{\"file\":\"stale/out.jpg\"}]}";

/* The name that the handler gives to its temporary file for "out.jpg". */
static char *usual_name(void)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "out.jpg", -1);
    g_autofree char *name = g_strdup_printf("stale/.ox-%.16s.tmp", sum);
    return at(name);
}

static void leftovers_are_taken_over(void **state)
{
    (void)state;
    g_autofree char *name = usual_name();
    save(paint_photo(100, 80), "stale/in.jpg");
    test_write(name, "half an image of a worker that was killed, longer than the new one", -1);
    assert_int_equal(truncate(name, 1000000), 0);
    run_well(stale_job);
    expect_size("stale/out.jpg", 100, 80);
    assert_int_equal(size_of("stale/out.jpg"), json_integer_value(returned(0, "bytes")));
    assert_int_equal(count_files("stale"), 2);
}

/* Also when the job has become impossible meanwhile. */
static void leftovers_go_even_when_the_job_fails(void **state)
{
    (void)state;
    g_autofree char *name = usual_name();
    save(paint_photo(100, 80), "stale/in.jpg");
    test_write(name, "half an image", -1);
    run("{\"input\":\"stale/gone.jpg\",\"outputs\":[{\"file\":\"stale/out.jpg\"}]}");
    assert_int_not_equal(last.result, HANDLER_DONE);
    assert_false(g_file_test(name, G_FILE_TEST_EXISTS));
}

static void leave(const char *name, int64_t age_s)
{
    g_autofree char *path = at(name);
    const int64_t then = test_unix_ms() / 1000 - age_s;
    const struct utimbuf times = { .actime = then, .modtime = then };
    test_write(path, "left", -1);
    assert_int_equal(utime(path, &times), 0);
}

static bool is_left(const char *name)
{
    g_autofree char *path = at(name);
    return g_file_test(path, G_FILE_TEST_EXISTS | G_FILE_TEST_IS_SYMLINK);
}

/* When a worker starts: what is old, ours and written by nobody, wherever it lies. */
static void old_leftovers_go_at_the_start(void **state)
{
    static const char *const kept[] = { "sweep/.ox-0000000000000001.tmp",
        "sweep/.ox-000000000000002.tmp", "sweep/.ox-000000000000000g.tmp",
        "sweep/.ox-0000000000000003.tmp.jpg", "sweep/ox-0000000000000004.tmp" };
    static const char *const gone[] = { "sweep/.ox-0123456789abcdef.tmp",
        "sweep/a/b/.ox-0000000000000005.tmp" };
    (void)state;
    g_autofree char *below = at("sweep/a/b"), *outside = test_dir_new();
    g_autofree char *link = at("sweep/link"), *linked = at("sweep/.ox-0000000000000006.tmp");
    g_autofree char *busy = at("sweep/.ox-0000000000000007.tmp");
    g_autofree char *far = g_build_filename(outside, ".ox-0000000000000008.tmp", NULL);
    char *problem = NULL;
    assert_int_equal(g_mkdir_with_parents(below, 0755), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
        leave(kept[i], i == 0 ? 60 : 7200);
    for (size_t i = 0; i < G_N_ELEMENTS(gone); i++)
        leave(gone[i], 7200);
    test_write(far, "left", -1);
    const struct utimbuf old = { 0 };
    assert_int_equal(utime(far, &old), 0);
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(symlink(far, linked), 0);
    leave("sweep/.ox-0000000000000007.tmp", 7200);
    int fd = open(busy, O_WRONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_true(image_handler.init(&config, true, &problem));
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
        assert_true(is_left(kept[i]));
    for (size_t i = 0; i < G_N_ELEMENTS(gone); i++)
        assert_false(is_left(gone[i]));
    assert_true(is_left("sweep/.ox-0000000000000006.tmp"));
    assert_true(g_file_test(far, G_FILE_TEST_EXISTS));
    assert_true(is_left("sweep/.ox-0000000000000007.tmp"));
    close(fd);
    assert_true(image_handler.init(&config, true, &problem));
    assert_false(is_left("sweep/.ox-0000000000000007.tmp"));
    test_remove(outside);
}

/* Of two outputs, one is named like the temporary file of the other. */
static void names_of_temporary_files_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "stale/.ox-0123456789abcdef.tmp", "stale/.OX-a.TMP",
        "stale/.ox-a.tmp/out.jpg", "stale/.ox-0123456789abcdef.made" };
    save(paint_photo(100, 80), "stale/in.jpg");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *job = g_strdup_printf(
            "{\"input\":\"stale/in.jpg\",\"outputs\":[{\"file\":\"%s\",\"format\":\"jpeg\"},"
            "{\"file\":\"stale/out.jpg\"}]}",
            names[i]);
        run(job);
        assert_int_equal(last.result, HANDLER_FATAL);
        assert_non_null(strstr(last.reason, "is named like a file of Ox itself"));
    }
}

static void a_file_that_another_run_writes_is_left_alone(void **state)
{
    (void)state;
    g_autofree char *name = usual_name();
    save(paint_photo(100, 80), "stale/in.jpg");
    test_write(name, "being written", -1);
    int fd = open(name, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    run_well(stale_job);
    expect_size("stale/out.jpg", 100, 80);
    g_autofree char *text = test_read(name, NULL);
    assert_string_equal(text, "being written");
    assert_int_equal(count_files("stale"), 3);
    close(fd);
    assert_int_equal(unlink(name), 0);
}

static void does_not_follow_link_at_temporary_name(void **state)
{
    (void)state;
    g_autofree char *name = usual_name(), *victim = at("stale/victim");
    save(paint_photo(100, 80), "stale/in.jpg");
    test_write(victim, "precious", -1);
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            assert_int_equal(symlink(victim, name), 0);
        else if (kind == 1)
            assert_int_equal(link(victim, name), 0);
        else
            assert_int_equal(mkfifo(name, 0600), 0);
        run_well(stale_job);
        expect_size("stale/out.jpg", 100, 80);
        g_autofree char *text = test_read(victim, NULL);
        assert_string_equal(text, "precious");
        assert_int_equal(unlink(name), 0);
        assert_int_equal(count_files("stale"), 3);
    }
}

/* ---- Settings ---------------------------------------------------------------------------- */

static void settings_are_checked(void **state)
{
    (void)state;
    struct image_options nothing = { 0 }, nowhere = { .root = "/nonexistent/ox" };
    struct handler_config none = { .options = &nothing }, wrong = { .options = &nowhere };
    char *problem = NULL;
    assert_false(image_handler.init(&none, true, &problem));
    assert_non_null(strstr(problem, "needs a root"));
    g_clear_pointer(&problem, g_free);
    assert_false(image_handler.init(&wrong, true, &problem));
    assert_non_null(strstr(problem, "\"/nonexistent/ox\": No such file or directory"));
    g_clear_pointer(&problem, g_free);
    assert_true(image_handler.init(&config, true, &problem));
    assert_null(problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(non_image_fails_for_good),
        cmocka_unit_test(rejects_non_files),
        cmocka_unit_test(a_missing_input_may_come_later),
        cmocka_unit_test(rejects_truncated_files),
        cmocka_unit_test(rejects_files_with_holes),
        cmocka_unit_test(rejects_gif_files_that_go_on_with_other_bytes),
        cmocka_unit_test(ignores_bytes_after_the_image),
        cmocka_unit_test(rejects_huge_dimensions_by_header),
        cmocka_unit_test(operator_sets_limits),
        cmocka_unit_test(sides_that_a_format_cannot_hold_are_refused),
        cmocka_unit_test(nothing_outside_the_root_is_read),
        cmocka_unit_test(nothing_outside_the_root_is_written),
        cmocka_unit_test(links_inside_the_root_are_followed),
        cmocka_unit_test(the_input_is_never_overwritten),
        cmocka_unit_test(two_outputs_are_two_files),
        cmocka_unit_test(rejects_non_directories),
        cmocka_unit_test(a_full_disk_leaves_nothing_and_may_pass),
        cmocka_unit_test(too_many_open_files_may_pass),
        cmocka_unit_test(leftovers_are_taken_over),
        cmocka_unit_test(leftovers_go_even_when_the_job_fails),
        cmocka_unit_test(names_of_temporary_files_are_refused),
        cmocka_unit_test(old_leftovers_go_at_the_start),
        cmocka_unit_test(a_file_that_another_run_writes_is_left_alone),
        cmocka_unit_test(does_not_follow_link_at_temporary_name),
        cmocka_unit_test(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
