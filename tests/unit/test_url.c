/*
 * test_url.c - connection URLs: what each part means, and that a typo is never taken for
 * another server.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "lib/wire/url.h"

struct row {
    const char *text, *host;
    int port, db;
    const char *user, *password, *socket;
};

static const struct row good[] = {
    { NULL, "127.0.0.1", 6379, 0, NULL, NULL, NULL },
    { "redis://", "127.0.0.1", 6379, 0, NULL, NULL, NULL },
    { "redis://h", "h", 6379, 0, NULL, NULL, NULL },
    { "redis://h/", "h", 6379, 0, NULL, NULL, NULL },
    { "redis://h:1", "h", 1, 0, NULL, NULL, NULL },
    { "redis://h:65535/15", "h", 65535, 15, NULL, NULL, NULL },
    { "redis://:pw@h", "h", 6379, 0, NULL, "pw", NULL },
    { "redis://u:pw@h:7/2", "h", 7, 2, "u", "pw", NULL },
    { "redis://u@h", "h", 6379, 0, "u", NULL, NULL },
    { "redis://u:a@b:c@h", "h", 6379, 0, "u", "a@b:c", NULL },
    { "redis://u%3a:p%40%2F@h", "h", 6379, 0, "u:", "p@/", NULL },
    { "redis://[::1]:7000", "::1", 7000, 0, NULL, NULL, NULL },
    { "redis://[fe80::1]/3", "fe80::1", 6379, 3, NULL, NULL, NULL },
    { "unix:///run/r.sock", NULL, 0, 0, NULL, NULL, "/run/r.sock" },
    { "unix:///a%20b?db=4", NULL, 0, 4, NULL, NULL, "/a b" },
    { "unix://u:p@/r.sock", NULL, 0, 0, "u", "p", "/r.sock" },
};

static void expect_text(const char *url, const char *found, const char *expected)
{
    if (g_strcmp0(found, expected) != 0)
        test_fatal("%s: %s instead of %s", url ? url : "NULL", found ? found : "none",
            expected ? expected : "none");
}

static void reads_every_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        const struct row *row = &good[i];
        struct ox__url url;
        ox_error err = { 0 };
        if (ox__url_parse(&url, row->text, &err) < 0)
            test_fatal("%s: %s", row->text, err.text);
        expect_text(row->text, url.host, row->host);
        expect_text(row->text, url.socket, row->socket);
        expect_text(row->text, url.user, row->user);
        expect_text(row->text, url.password, row->password);
        assert_int_equal(url.port, row->port);
        assert_int_equal(url.db, row->db);
        ox__url_done(&url);
    }
}

static void rejects_invalid_input(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "localhost", "localhost:6379", "http://h",
        "redis:/h", "Redis://h", "redis://h:", "redis://h:0", "redis://h:65536",
        "redis://h:99999999999", "redis://h:6379x", "redis://h:-1", "redis://h:+1",
        "redis://h/x", "redis://h/-1", "redis://h/1x", "redis://h/1/2", "redis://h?db=1",
        "redis://h#1", "redis://[::1", "redis://[]", "redis://[::1]x", "redis://u:%zz@h",
        "redis://u:%4@h", "redis://u:%00@h", "redis://h%00", "unix://r.sock", "unix://",
        "unix:///r.sock?db=", "unix:///r.sock?db=x", "unix:///r.sock?x=1",
        "unix:///r.sock?db=99999999999", "unix://u:p@r.sock", "redis://h?ca=x",
        "redis://h/?ca=x", "rediss://h?", "rediss://h?ca=", "rediss://h?ca=a&",
        "rediss://h?ca=a&ca=b", "rediss://h?ca=%00", "rediss://h?what=1",
        "rediss://h?insecure=no", "rediss://h?insecure=", "rediss://h?insecure",
        "rediss://h/x?ca=a", "rediss://h/1/?ca=a", "rediss://h/99999999999?ca=a",
        "rediss://h/123456789012?ca=a", "rediss:///s.sock?db=1" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct ox__url url;
        ox_error err = { 0 };
        if (ox__url_parse(&url, bad[i], &err) != OX_EINVAL)
            test_fatal("%s is taken", bad[i]);
        assert_int_equal(err.code, OX_EINVAL);
        assert_true(strlen(err.text) > 0);
    }
}

static void refuses_a_socket_path_that_no_socket_can_have(void **state)
{
    (void)state;
    g_autofree char *path = g_strnfill(200, 'a');
    g_autofree char *text = g_strconcat("unix:///", path, NULL);
    struct ox__url url;
    assert_int_equal(ox__url_parse(&url, text, NULL), OX_EINVAL);
}

/* Messages go to logs. */
static void hides_passwords(void **state)
{
    (void)state;
    static const char *const secrets[] = { "redis://u:secret@h:bad", "redis://:secret@h/x",
        "redis://u:secret%@h", "unix://u:secret@x", "unix://u:secret@/s?x", "foo://u:secret@h",
        "rediss://u:secret@h?x" };
    for (size_t i = 0; i < G_N_ELEMENTS(secrets); i++) {
        struct ox__url url;
        ox_error err = { 0 };
        assert_int_equal(ox__url_parse(&url, secrets[i], &err), OX_EINVAL);
        if (strstr(err.text, "secret"))
            test_fatal("%s", err.text);
    }
    struct ox__url url;
    char where[64];
    assert_int_equal(ox__url_parse(&url, "redis://u:secret@h:7", NULL), 0);
    ox__url_where(&url, where, sizeof(where));
    assert_string_equal(where, "h:7");
    ox__url_done(&url);
}

static void copies_whole(void **state)
{
    (void)state;
    struct ox__url url, copy;
    assert_int_equal(ox__url_parse(&url, "redis://u:p@h:7/2", NULL), 0);
    assert_int_equal(ox__url_copy(&copy, &url, NULL), 0);
    ox__url_done(&url);
    assert_string_equal(copy.host, "h");
    assert_string_equal(copy.user, "u");
    assert_string_equal(copy.password, "p");
    assert_int_equal(copy.port, 7);
    assert_int_equal(copy.db, 2);
    assert_null(copy.socket);
    ox__url_done(&copy);
    ox__url_done(&copy);
}

/* What TLS trusts stands behind the place; options win. */
static void reads_tls_options(void **state)
{
    (void)state;
    struct ox__url url, copy;
    assert_int_equal(ox__url_parse(&url, "redis://h", NULL), 0);
    assert_false(url.tls);
    ox__url_done(&url);
    assert_int_equal(ox__url_parse(&url, "rediss://u:p@h:7/2", NULL), 0);
    assert_true(url.tls);
    assert_null(url.tls_ca);
    assert_false(url.tls_insecure);
    assert_int_equal(url.db, 2);
    ox__url_done(&url);
    assert_int_equal(
        ox__url_parse(
            &url, "rediss://h?insecure=yes&name=a.b&key=%2fk%26&cert=/c=d&ca=/x?y", NULL),
        0);
    const ox_client_options options = { .tls_cert = "mine" };
    assert_int_equal(ox__url_set_tls(&url, &options, NULL), 0);
    assert_int_equal(ox__url_copy(&copy, &url, NULL), 0);
    ox__url_done(&url);
    assert_true(copy.tls && copy.tls_insecure);
    assert_string_equal(copy.tls_name, "a.b");
    assert_string_equal(copy.tls_key, "/k&");
    assert_string_equal(copy.tls_cert, "mine");
    assert_string_equal(copy.tls_ca, "/x?y");
    ox__url_done(&copy);
    assert_int_equal(ox__url_parse(&url, "redis://h", NULL), 0);
    assert_int_equal(ox__url_set_tls(&url, &options, NULL), OX_EINVAL);
    ox__url_done(&url);
}

static void truncates_place(void **state)
{
    (void)state;
    struct ox__url url;
    char where[8];
    assert_int_equal(ox__url_parse(&url, "unix:///run/redis/redis.sock", NULL), 0);
    ox__url_where(&url, where, sizeof(where));
    assert_string_equal(where, "/run/re");
    ox__url_done(&url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_form),
        cmocka_unit_test(rejects_invalid_input),
        cmocka_unit_test(refuses_a_socket_path_that_no_socket_can_have),
        cmocka_unit_test(hides_passwords),
        cmocka_unit_test(copies_whole),
        cmocka_unit_test(reads_tls_options),
        cmocka_unit_test(truncates_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
