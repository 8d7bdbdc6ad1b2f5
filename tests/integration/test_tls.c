/*
 * test_tls.c - rediss:// URLs against a real redis-server with certificates made here, good and
 * bad: what is let in, what is refused and in which words, and that a connection comes back.
 * The server is judged through its unix socket.
 */
#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <string.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"

#define WAIT_MS 20000

/* NAME AUTHORITY ALTERNATIVE-NAMES DAYS; an elliptic curve, as it takes no time. */
static const char script[] =
    "set -e; cd \"$0\"; new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
    "ca() { openssl req -x509 $new -keyout $1.key -out $1.pem -days 2 -subj \"/CN=$1\"; }\n"
    "leaf() { openssl req $new -keyout $1.key -out $1.csr -subj \"/CN=$1\"\n"
    "  echo subjectAltName=$3 >$1.ext\n"
    "  openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -out $1.pem \\\n"
    "    -days $4 -extfile $1.ext; }\n"
    "ca ca; ca other; leaf good ca DNS:localhost,IP:127.0.0.1 2\n"
    "leaf expired ca DNS:localhost -1; leaf me ca DNS:me 2; leaf stranger other DNS:me 2\n"
    "cat me.pem me.key >both.pem; mkdir folder; cp ca.pem folder; openssl rehash folder\n"
    "openssl ec -aes128 -passout pass:secret -in me.key -out locked.key\n";

static char *certs; /* the folder */

static int make_certificates(void **state)
{
    (void)state;
    g_autofree char *err = NULL;
    certs = test_dir_new();
    if (test_run_words(NULL, &err, "sh", "-c", script, certs, NULL) != 0)
        test_fatal("openssl: %s", err);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    test_remove(certs);
    g_free(certs);
    return 0;
}

/* ---- servers and URLs -------------------------------------------------------------------- */

struct place {
    struct test_redis *redis;
    int port;
};

static char *file(const char *name)
{
    return g_build_filename(certs, name, NULL);
}

/* A server with this certificate; `auth` is yes when clients need one of their own. */
static struct place start(const char *certificate, const char *auth)
{
    struct place place = { .port = test_free_port() };
    g_autofree char *port = g_strdup_printf("%d", place.port);
    g_autofree char *pem = g_strdup_printf("%s/%s.pem", certs, certificate);
    g_autofree char *key = g_strdup_printf("%s/%s.key", certs, certificate);
    g_autofree char *ca = file("ca.pem");
    const char *const args[] = { "--tls-port", port, "--tls-cert-file", pem, "--tls-key-file",
        key, "--tls-ca-cert-file", ca, "--tls-auth-clients", auth, "--bind", "127.0.0.1",
        "--appendonly", "yes", "--appendfsync", "always", NULL };
    place.redis = test_redis_start(args);
    return place;
}

/* `more` stands behind the place; "@" in it is the folder of certificates. */
static char *url_of(const struct place *place, const char *host, const char *more)
{
    g_auto(GStrv) parts = g_strsplit(more, "@", -1);
    g_autofree char *rest = g_strjoinv(certs, parts);
    return g_strdup_printf("rediss://%s:%d%s", host, place->port, rest);
}

static int connect_with(const char *url, ox_client **client, ox_error *err)
{
    const ox_client_options options = {
        .url = url, .connect_tries = 1, .connect_timeout_ms = 5000
    };
    return ox_client_new(client, &options, err);
}

static void expect_taken(const struct place *place, const char *host, const char *more)
{
    g_autofree char *url = url_of(place, host, more);
    ox_client *client = NULL;
    ox_error err = { 0 };
    int64_t now_ms;
    if (connect_with(url, &client, &err) < 0 || ox_client_time(client, &now_ms, &err) < 0)
        test_fatal("%s: %s", more, err.text);
    ox_client_free(client);
}

static void expect_refused(
    const struct place *place, const char *host, const char *more, int code, const char *text)
{
    g_autofree char *url = url_of(place, host, more);
    ox_client *client = NULL;
    ox_error err = { 0 };
    int rc = connect_with(url, &client, &err);
    if (rc != code || client || !strstr(err.text, text))
        test_fatal("%s: %d \"%s\" in place of \"%s\"", more, rc, err.text, text);
}

/* ---- who is let in ----------------------------------------------------------------------- */

static void the_server_is_verified(void **state)
{
    (void)state;
    struct place place = start("good", "no");
    expect_taken(&place, "localhost", "?ca=@/ca.pem");
    expect_taken(&place, "localhost", "/3?ca=@/ca.pem");
    expect_taken(&place, "127.0.0.1", "/?ca=@/ca.pem");
    expect_taken(&place, "localhost", "?ca=@/folder");
    expect_taken(&place, "127.0.0.1", "?ca=@/ca.pem&name=localhost");
    expect_taken(&place, "localhost", "?ca=@/ca.pem&name=127.0.0.1");
    expect_taken(&place, "localhost", "?insecure=yes");
    expect_taken(&place, "localhost", "?insecure=yes&name=elsewhere.org");
    expect_refused(&place, "localhost", "", OX_ETLS, "unknown authority");
    expect_refused(&place, "localhost", "?ca=@/other.pem", OX_ETLS, "unknown authority");
    expect_refused(&place, "localhost", "?ca=@/ca.pem&name=elsewhere.org", OX_ETLS,
        "wrong name: its certificate is not for elsewhere.org");
    expect_refused(&place, "localhost", "?ca=@/ca.pem&name=127.0.0.2", OX_ETLS, "wrong name");
    expect_refused(&place, "localhost", "?ca=@/none.pem", OX_EINVAL,
        "none.pem: No such file or directory");
    expect_refused(&place, "localhost", "?ca=@/ca.key", OX_EINVAL, "cannot use the CA file");
    test_redis_stop(place.redis);
    place = start("expired", "no");
    expect_refused(&place, "localhost", "?ca=@/ca.pem", OX_ETLS, "certificate has expired");
    expect_taken(&place, "localhost", "?insecure=yes");
    test_redis_stop(place.redis);
}

static void the_server_may_want_a_certificate(void **state)
{
    (void)state;
    struct place place = start("good", "yes");
    expect_taken(&place, "localhost", "?ca=@/ca.pem&cert=@/me.pem&key=@/me.key");
    expect_taken(&place, "localhost", "?ca=@/ca.pem&cert=@/both.pem");
    for (int i = 0; i < 20; i++) /* its refusal comes while we greet */
        expect_refused(&place, "localhost", "?ca=@/ca.pem", OX_ETLS,
            "the server requires a client certificate");
    expect_refused(&place, "localhost", "?ca=@/ca.pem&cert=@/stranger.pem&key=@/stranger.key",
        OX_ETLS, "the server refuses the client certificate: unknown authority");
    expect_refused(&place, "localhost", "?ca=@/ca.pem&cert=@/expired.pem&key=@/expired.key",
        OX_ETLS, "the server refuses the client certificate: expired");
    expect_refused(&place, "localhost", "?ca=@/ca.pem&cert=@/me.pem&key=@/good.key", OX_EINVAL,
        "good.key: it does not belong to the certificate");
    expect_refused(&place, "localhost", "?ca=@/ca.pem&cert=@/me.pem&key=@/locked.key",
        OX_EINVAL, "locked.key: it has a password");
    expect_refused(&place, "localhost", "?ca=@/ca.pem&cert=@/me.pem&key=@/ca.pem", OX_EINVAL,
        "cannot use the key");
    expect_refused(&place, "localhost", "?ca=@/ca.pem&cert=@/me.key", OX_EINVAL,
        "me.key: it is not a PEM file of that kind");
    expect_refused(&place, "localhost", "?ca=@/ca.pem&cert=@/none.pem", OX_EINVAL,
        "cannot use the certificate");
    expect_refused(
        &place, "localhost", "?ca=@/ca.pem&key=@/me.key", OX_EINVAL, "a key needs its");
    test_redis_stop(place.redis);
}

static void options_win_over_the_url(void **state)
{
    (void)state;
    struct place place = start("good", "yes");
    g_autofree char *url = url_of(&place, "127.0.0.1", "?ca=@/other.pem&name=no.where");
    g_autofree char *ca = file("ca.pem"), *cert = file("me.pem"), *key = file("me.key");
    ox_client_options options = { .url = url,
        .tls_ca = ca,
        .tls_cert = cert,
        .tls_key = key,
        .tls_name = "localhost",
        .connect_tries = 1 };
    ox_client *client = NULL;
    ox_error err = { 0 };
    if (ox_client_new(&client, &options, &err) < 0)
        test_fatal("%s", err.text);
    ox_client_free(client);
    client = NULL;
    options.url = test_redis_url(place.redis);
    assert_int_equal(ox_client_new(&client, &options, &err), OX_EINVAL);
    assert_non_null(strstr(err.text, "need a rediss:// URL"));
    test_redis_stop(place.redis);
}

/* Who mixed up the ports is told so. */
static void plain_and_tls_do_not_mix(void **state)
{
    (void)state;
    struct place place = start("good", "no");
    g_autofree char *plain = g_strdup_printf("redis://127.0.0.1:%d", place.port);
    ox_client *client = NULL;
    ox_error err = { 0 };
    assert_int_equal(connect_with(plain, &client, &err), OX_ECONNECT);
    assert_non_null(strstr(err.text, "does it require TLS, a rediss:// URL?"));
    test_redis_stop(place.redis);

    struct place other = { .port = test_free_port() };
    g_autofree char *port = g_strdup_printf("%d", other.port);
    const char *const args[] = { "--port", port, "--bind", "127.0.0.1", NULL };
    other.redis = test_redis_start(args);
    g_autofree char *url = url_of(&other, "127.0.0.1", "?insecure=yes");
    const ox_client_options options = {
        .url = url, .connect_tries = 1, .connect_timeout_ms = 500
    };
    assert_true(ox_client_new(&client, &options, &err) < 0); /* silence, or its -ERR */
    assert_non_null(strstr(err.text, "speak TLS"));
    test_redis_stop(other.redis);
}

/* ---- what goes through ------------------------------------------------------------------- */

static void large_data_goes_both_ways(void **state)
{
    (void)state;
    struct place place = start("good", "no");
    g_autofree char *url = url_of(&place, "localhost", "?ca=@/ca.pem");
    g_autofree char *letters = g_strnfill(8 * 1024 * 1024, 'x');
    g_autofree char *json = g_strconcat("\"", letters, "\"", NULL);
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_job *job = NULL;
    char *id = NULL;
    ox_error err = { 0 };
    assert_int_equal(connect_with(url, &client, &err), 0);
    assert_int_equal(ox_queue_new(&queue, client, "q", NULL, &err), 0);
    assert_int_equal(ox_queue_add(queue, "n", json, NULL, &id, &err), 0);
    assert_int_equal(ox_queue_job(queue, id, &job, NULL, &err), 0);
    assert_string_equal(ox_job_text(job, OX_JOB_DATA), json);
    assert_int_equal(
        test_redis_int(place.redis, "HSTRLEN bull:q:%s data", id), (long long)strlen(json));
    ox_job_free(job);
    ox_free(id);
    /* Many calls on the way at once. */
    ox_new_job jobs[5000];
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++)
        jobs[i] = (ox_new_job){ .name = "n", .json = "{\"some\":\"data\"}" };
    test_redis_do(place.redis, "SCRIPT FLUSH");
    assert_int_equal(ox_queue_add_bulk(queue, jobs, G_N_ELEMENTS(jobs), NULL, &err), 0);
    assert_int_equal(test_redis_int(place.redis, "LLEN bull:q:wait"), 5001);
    ox_queue_free(queue);
    ox_client_free(client);
    test_redis_stop(place.redis);
}

/* A server that was restarted while nobody called costs no error, also over TLS. */
static void comes_back(void **state)
{
    (void)state;
    struct place place = start("good", "no");
    g_autofree char *url = url_of(&place, "localhost", "?ca=@/ca.pem");
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    assert_int_equal(connect_with(url, &client, &err), 0);
    assert_int_equal(ox_queue_new(&queue, client, "q", NULL, &err), 0);
    for (int i = 0; i < 3; i++) {
        if (ox_queue_add(queue, "n", NULL, NULL, NULL, &err) < 0)
            test_fatal("%s", err.text);
        if (i == 1) {
            test_redis_do(place.redis, "CLIENT KILL TYPE normal SKIPME yes");
        } else {
            test_redis_kill(place.redis);
            test_redis_revive(place.redis);
        }
    }
    assert_int_equal(test_redis_int(place.redis, "LLEN bull:q:wait"), 3);
    ox_queue_free(queue);
    ox_client_free(client);
    test_redis_stop(place.redis);
}

/* ---- the programs ------------------------------------------------------------------------ */

static bool all_completed(void *arg)
{
    struct place *place = arg;
    return test_redis_int(place->redis, "ZCARD bull:q:completed") ==
           test_redis_int(place->redis, "GET bull:q:id");
}

static void add(const char *url, const char *data)
{
    g_autofree char *err = NULL;
    if (test_run_words(NULL, &err, "ox", "add", "q", "n", data, "--redis", url, NULL) != 0)
        test_fatal("ox add: %s", err);
}

static void programs_work(void **state)
{
    (void)state;
    struct place place = start("good", "yes");
    g_autofree char *url = url_of(&place, "localhost", "?ca=@/ca.pem&cert=@/both.pem");
    g_autofree char *large = g_strnfill(100000, '7');
    const char *const argv[] = { "ox-worker", "q=echo", "--redis", url, NULL };
    struct test_process *worker = test_start(argv, NULL);
    add(url, "[1]");
    add(url, large);
    assert_true(test_wait_for(WAIT_MS, all_completed, &place));
    test_redis_kill(place.redis);
    test_redis_revive(place.redis);
    add(url, "[2]");
    assert_true(test_wait_for(WAIT_MS, all_completed, &place));
    assert_int_equal(test_redis_int(place.redis, "ZCARD bull:q:completed"), 3);
    test_process_signal(worker, SIGTERM);
    assert_int_equal(test_process_wait(worker, WAIT_MS), 0);
    test_process_free(worker);

    /* Retrying does not mend a certificate. */
    g_autofree char *bad = url_of(&place, "localhost", "?ca=@/other.pem");
    g_autofree char *err = NULL;
    assert_int_equal(
        test_run_words(NULL, &err, "ox-worker", "q=echo", "--redis", bad, NULL), 1);
    assert_non_null(strstr(err, "unknown authority"));
    test_redis_stop(place.redis);
}

/* Options, and the variables that stand in for them. */
static void programs_take_options(void **state)
{
    (void)state;
    struct place place = start("good", "yes");
    g_autofree char *url = url_of(&place, "127.0.0.1", "");
    g_autofree char *ca = file("folder"), *cert = file("me.pem"), *key = file("me.key");
    const char *const add[] = { "ox", "add", "q", "n", "1", "--redis", url, "--tls-ca", ca,
        "--tls-cert", cert, "--tls-key", key, "--tls-name", "localhost", NULL };
    const char *const insecure[] = { "ox", "add", "q", "n", "1", "--redis", url, "--tls-cert",
        cert, "--tls-key", key, "--tls-insecure", NULL };
    const char *const work[] = { "ox-worker", "q=echo", "--redis", url, NULL };
    g_autofree char *err = NULL, *warned = NULL;
    if (test_run(add, NULL, NULL, &err) != 0)
        test_fatal("%s", err);
    assert_string_equal(err, "");
    assert_int_equal(test_run(insecure, NULL, NULL, &warned), 0);
    assert_non_null(strstr(warned, "WARNING: --tls-insecure"));
    g_setenv("OX_TLS_CA", ca, TRUE);
    g_setenv("OX_TLS_CERT", cert, TRUE);
    g_setenv("OX_TLS_KEY", key, TRUE);
    struct test_process *worker = test_start(work, NULL);
    assert_true(test_wait_for(WAIT_MS, all_completed, &place));
    g_unsetenv("OX_TLS_CA");
    g_unsetenv("OX_TLS_CERT");
    g_unsetenv("OX_TLS_KEY");
    test_process_signal(worker, SIGTERM);
    assert_int_equal(test_process_wait(worker, WAIT_MS), 0);
    test_process_free(worker);
    test_redis_stop(place.redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_is_verified),
        cmocka_unit_test(the_server_may_want_a_certificate),
        cmocka_unit_test(options_win_over_the_url),
        cmocka_unit_test(plain_and_tls_do_not_mix),
        cmocka_unit_test(large_data_goes_both_ways),
        cmocka_unit_test(comes_back),
        cmocka_unit_test(programs_work),
        cmocka_unit_test(programs_take_options),
    };
    return cmocka_run_group_tests_name("tls", tests, make_certificates, remove_certificates);
}
