/*
 * test_worker_webhook.c - the parts of the webhook handler that need no server: which addresses
 * are public, what --allow lists, secrets and signatures.
 */
#include "../support/check.h"

#include <arpa/inet.h>
#include <glib.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "worker/handlers/webhook.h"

/* An address as a resolver gives it. */
static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage out = { 0 };
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
    }
    return out;
}

static void addresses_have_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *address, *kind;
    } rows[] = {
        { "8.8.8.8", NULL },
        { "9.255.255.255", NULL },
        { "11.0.0.0", NULL },
        { "100.63.255.255", NULL },
        { "100.128.0.0", NULL },
        { "172.15.255.255", NULL },
        { "172.32.0.0", NULL },
        { "192.167.255.255", NULL },
        { "223.255.255.255", NULL },
        { "2606:4700::1111", NULL },
        { "::ffff:8.8.8.8", NULL },
        { "64:ff9b::808:808", NULL },
        { "2002:808:808::1", NULL },
        { "0.0.0.0", "this machine" },
        { "0.1.2.3", "this machine" },
        { "10.0.0.0", "private" },
        { "10.255.255.255", "private" },
        { "100.64.0.0", "shared by a provider's customers" },
        { "100.127.255.255", "shared by a provider's customers" },
        { "127.0.0.1", "loopback" },
        { "127.255.255.254", "loopback" },
        { "169.254.169.254", "link-local" },
        { "172.16.0.1", "private" },
        { "172.31.255.255", "private" },
        { "192.0.0.8", "reserved" },
        { "192.168.255.1", "private" },
        { "198.19.0.1", "for benchmarks" },
        { "203.0.113.9", "for documentation" },
        { "224.0.0.1", "multicast" },
        { "239.255.255.255", "multicast" },
        { "240.0.0.1", "reserved" },
        { "255.255.255.255", "reserved" },
        { "::", "this machine" },
        { "::1", "loopback" },
        { "::127.0.0.1", "reserved" },
        { "::ffff:127.0.0.1", "loopback" },
        { "::ffff:10.0.0.1", "private" },
        { "::ffff:0:10.0.0.1", "reserved" },
        { "64:ff9b::7f00:1", "loopback" },
        { "64:ff9b::a9fe:a9fe", "link-local" },
        { "64:ff9b:1::808:808", "private" },
        { "2002:7f00:1::", "loopback" },
        { "2002:a00:1::5", "private" },
        { "2001:0:4136:e378::1", "reserved" },
        { "2001:db8::1", "for documentation" },
        { "3fff:fff::1", "for documentation" },
        { "100::1", "reserved" },
        { "4000::1", "reserved" },
        { "fc00::1", "unique-local" },
        { "fdff:ffff::1", "unique-local" },
        { "fe80::1", "link-local" },
        { "febf::1", "link-local" },
        { "fec0::1", "site-local" },
        { "ff02::1", "multicast" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct sockaddr_storage address = address_of(rows[i].address);
        const char *kind = webhook_address_kind((struct sockaddr *)&address);
        if (g_strcmp0(kind, rows[i].kind) != 0)
            test_fatal("%s is %s, not %s", rows[i].address, kind ? kind : "public",
                rows[i].kind ? rows[i].kind : "public");
    }
    const struct sockaddr_un local = { .sun_family = AF_UNIX };
    assert_string_equal(
        webhook_address_kind((const struct sockaddr *)&local), "not of the internet");
}

static void assert_listed(const char *list, const char *text, bool listed)
{
    struct webhook_guard guard;
    g_autofree char *problem = NULL;
    struct sockaddr_storage address = address_of(text);
    assert_true(webhook_guard_read(&guard, list, &problem));
    if (webhook_guard_has_address(&guard, (struct sockaddr *)&address) != listed)
        test_fatal("--allow %s: %s is %slisted", list, text, listed ? "not " : "");
    webhook_guard_done(&guard);
}

static void allow_lists_networks_and_hosts(void **state)
{
    (void)state;
    struct webhook_guard guard;
    g_autofree char *problem = NULL;
    assert_listed("10.1.0.0/16", "10.1.255.1", true);
    assert_listed("10.1.0.0/16", "10.2.0.1", false);
    assert_listed("10.1.0.0/16", "::ffff:10.1.2.3", true);
    assert_listed("10.1.0.0/16", "64:ff9b::a01:203", false);
    assert_listed("10.0.0.128/25", "10.0.0.129", true);
    assert_listed("10.0.0.128/25", "10.0.0.127", false);
    assert_listed("10.0.0.7", "10.0.0.7", true);
    assert_listed("10.0.0.7", "10.0.0.6", false);
    assert_listed("0.0.0.0/0", "127.0.0.1", true);
    assert_listed("0.0.0.0/0", "::1", false);
    assert_listed("::/0", "127.0.0.1", true);
    assert_listed("[::1], fd00::/9", "fd7f::1", true);
    assert_listed("[::1], fd00::/9", "::1", true);
    assert_listed("[::1], fd00::/9", "fd80::1", false);
    assert_listed("host.example", "10.0.0.1", false);
    assert_true(webhook_guard_read(&guard, "Hook.internal, 10.0.0.0/8, b", &problem));
    assert_true(webhook_guard_has_host(&guard, "hook.INTERNAL"));
    assert_true(webhook_guard_has_host(&guard, "b"));
    assert_false(webhook_guard_has_host(&guard, "hook.internal.example"));
    assert_false(webhook_guard_has_host(&guard, "10.0.0.0/8"));
    webhook_guard_done(&guard);
}

static void wrong_lists_are_refused(void **state)
{
    (void)state;
    static const char *const lists[] = { "10.0.0.0/33", "10.0.0.0/", "10.0.0", "::/129",
        "::1/-1", "a b", "10.0.0.1,,", "http://x", "1.2.3.4.5", "*" };
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        struct webhook_guard guard;
        g_autofree char *problem = NULL;
        if (webhook_guard_read(&guard, lists[i], &problem))
            test_fatal("--allow takes \"%s\"", lists[i]);
        assert_true(g_str_has_prefix(problem, "--allow: \""));
        webhook_guard_done(&guard);
    }
}

/* The example of the specification's libraries. */
static void a_known_message_has_its_signature(void **state)
{
    (void)state;
    static const char body[] = "{\"test\": 2432232314}";
    struct webhook_secrets secrets;
    g_autofree char *problem = NULL;
    assert_true(
        webhook_secrets_read(&secrets, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &problem));
    g_autofree char *signature =
        webhook_sign(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, strlen(body));
    assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    webhook_secrets_done(&secrets);
}

static void assert_secrets(const char *text, int count)
{
    struct webhook_secrets secrets;
    g_autofree char *problem = NULL;
    bool read = webhook_secrets_read(&secrets, text, &problem);
    int found = read ? (int)secrets.keys->len : -1;
    if (found != count || read == (problem != NULL))
        test_fatal("%s: %d secrets, not %d", text ? text : "(nil)", found, count);
    webhook_secrets_done(&secrets);
}

static void secrets_are_read_strictly(void **state)
{
    (void)state;
    const char *good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    g_autofree char *two = g_strdup_printf("%s\n\n  %s\r\n", good, good);
    g_autofree char *one_bad = g_strdup_printf("%s MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", good);
    g_autofree guchar *bytes = g_malloc0(65);
    g_autofree char *most = g_base64_encode(bytes, 64), *more = g_base64_encode(bytes, 65);
    g_autofree char *long_one = g_strconcat("whsec_", most, NULL);
    g_autofree char *too_long = g_strconcat("whsec_", more, NULL);
    assert_secrets(NULL, 0);
    assert_secrets(good, 1);
    assert_secrets(two, 2);
    assert_secrets(long_one, 1);
    assert_secrets("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 1); /* without its '=' */
    assert_secrets(too_long, -1);
    assert_secrets(one_bad, -1);
    assert_secrets("", -1);
    assert_secrets("whsec_", -1);
    assert_secrets("whsec_c2hvcnQ=", -1);
    assert_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS-", -1);
    assert_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA", -1);
    assert_secrets("whsec_MfKQ9r8G=KYqrTwjUPD8ILPZIo2LaLaSw", -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_have_kinds),
        cmocka_unit_test(allow_lists_networks_and_hosts),
        cmocka_unit_test(wrong_lists_are_refused),
        cmocka_unit_test(a_known_message_has_its_signature),
        cmocka_unit_test(secrets_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
