/*
 * fuzz_worker_guard.c - what the webhook handler is told of addresses, URLs and secrets.
 *
 * Input: a letter and then, a: an address, 4 or 16 bytes; l: a list for --allow, and behind its
 * first line break addresses of 4 bytes; u: a URL; s: secrets. No address of a private network
 * is public in any of its forms.
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "worker/handlers/webhook.h"

static struct sockaddr_storage address_of(const uint8_t *bytes, size_t size)
{
    struct sockaddr_storage out = { 0 };
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    if (size == 4) {
        memcpy(&v4.sin_addr, bytes, 4);
        memcpy(&out, &v4, sizeof v4);
    } else {
        memcpy(&v6.sin6_addr, bytes, 16);
        memcpy(&out, &v6, sizeof v6);
    }
    return out;
}

static const char *kind_of(const uint8_t *bytes, size_t size)
{
    struct sockaddr_storage address = address_of(bytes, size);
    return webhook_address_kind((const struct sockaddr *)&address);
}

static bool is_private(const uint8_t v4[4])
{
    return v4[0] == 0 || v4[0] == 10 || v4[0] == 127 || v4[0] >= 224 ||
           (v4[0] == 169 && v4[1] == 254) || (v4[0] == 172 && v4[1] >> 4 == 1) ||
           (v4[0] == 192 && v4[1] == 168) || (v4[0] == 100 && v4[1] >> 6 == 1);
}

/* One IPv4 address, alone and where others hold it. */
static void check_v4(const uint8_t v4[4])
{
    static const struct {
        uint8_t before[12];
        size_t bytes; /* before it */
    } forms[] = {
        { { [10] = 0xff, [11] = 0xff }, 12 },
        { { 0, 0x64, 0xff, 0x9b }, 12 },
        { { 0x20, 0x02 }, 2 },
    };
    const char *kind = kind_of(v4, 4);
    expect(kind != NULL || !is_private(v4));
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        uint8_t v6[16] = { 0 };
        memcpy(v6, forms[i].before, forms[i].bytes);
        memcpy(v6 + forms[i].bytes, v4, 4);
        expect(g_strcmp0(kind_of(v6, 16), kind) == 0);
    }
}

static void check_list(const char *text)
{
    struct webhook_guard guard;
    char *problem = NULL;
    g_auto(GStrv) parts = g_strsplit(text, "\n", 2);
    const char *rest = parts[0] != NULL && parts[1] != NULL ? parts[1] : "";
    if (!webhook_guard_read(&guard, parts[0], &problem)) {
        expect(problem != NULL);
    }
    for (; strlen(rest) >= 4; rest += 4) {
        struct sockaddr_storage address = address_of((const uint8_t *)rest, 4);
        bool has = webhook_guard_has_address(&guard, (const struct sockaddr *)&address);
        expect(!has || guard.nets->len > 0);
    }
    for (guint i = 0; i < guard.hosts->len; i++) {
        expect(webhook_guard_has_host(&guard, guard.hosts->pdata[i]));
    }
    g_free(problem);
    webhook_guard_done(&guard);
}

/* No host that is an address of this machine passes, however it is written. */
static void check_url(const char *url)
{
    static const struct webhook_options options = { .redirects = 0 };
    struct webhook_guard guard;
    struct in_addr v4;
    char *problem = NULL;
    webhook_guard_read(&guard, NULL, &problem);
    if (webhook_check_url(url, &options, &guard, &problem)) {
        expect(g_ascii_strncasecmp(url, "https:", 6) == 0);
        const char *host = url + 6 + strspn(url + 6, "/");
        g_autofree char *bare = g_strndup(host, strcspn(host, "/:?#@"));
        if (inet_aton(bare, &v4) && strcspn(host, "@") >= strcspn(host, "/?#")) {
            expect(kind_of((const uint8_t *)&v4, 4) == NULL);
        }
    } else {
        expect(problem != NULL);
        expect(!g_utf8_validate(url, -1, NULL) || g_utf8_validate(problem, -1, NULL));
    }
    g_free(problem);
    webhook_guard_done(&guard);
}

static void check_secrets(const char *text)
{
    struct webhook_secrets secrets;
    char *problem = NULL;
    if (webhook_secrets_read(&secrets, text, &problem)) {
        g_autofree char *signature = webhook_sign(&secrets, "q:1", 5, "{}", 2);
        g_auto(GStrv) words = g_strsplit(signature, " ", -1);
        expect(secrets.keys->len > 0 && g_strv_length(words) == secrets.keys->len);
        for (char **word = words; *word != NULL; word++) {
            expect(g_str_has_prefix(*word, "v1,") && strlen(*word) == 3 + 44);
        }
    } else { /* it shows none */
        expect(problem != NULL && strlen(problem) < 80);
    }
    g_free(problem);
    webhook_secrets_done(&secrets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    char *text = fuzz_text(data + 1, size - 1);
    if (data[0] == 'a' && size == 1 + 4) {
        check_v4(data + 1);
    } else if (data[0] == 'a' && size == 1 + 16) {
        kind_of(data + 1, 16);
    } else if (data[0] == 'l') {
        check_list(text);
    } else if (data[0] == 'u') {
        check_url(text);
    } else if (data[0] == 's') {
        check_secrets(text);
    }
    free(text);
    return 0;
}
