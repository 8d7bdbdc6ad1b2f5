/*
 * fuzz_url.c - connection URLs.
 *
 * Input: the URL. One that is taken says where to go; one that is not is refused with a
 * sentence that does not repeat it, because it may hold a password.
 */
#include "fuzz.h"

#include "lib/wire/url.h"

static void check(const struct ox__url *url)
{
    struct ox__url copy;
    char where[32];
    expect((url->socket != NULL) != (url->host != NULL));
    expect(url->socket == NULL || url->socket[0] == '/');
    expect(url->host == NULL || (url->host[0] != '\0' && url->port >= 1 && url->port <= 65535));
    expect(url->db >= 0);
    expect(url->tls || (url->tls_ca == NULL && url->tls_cert == NULL && url->tls_key == NULL &&
                           url->tls_name == NULL && !url->tls_insecure));
    ox__url_where(url, where, sizeof(where));
    expect(where[0] != '\0' && strlen(where) < sizeof(where));
    expect(ox__url_copy(&copy, url, NULL) == 0);
    expect((copy.password == NULL) == (url->password == NULL));
    expect((copy.tls_ca == NULL) == (url->tls_ca == NULL) && copy.tls == url->tls);
    ox__url_done(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct ox__url url;
    ox_error err = { 0 };
    int rc = ox__url_parse(&url, text, &err);
    if (rc == 0) {
        check(&url);
        ox__url_done(&url);
    } else {
        fuzz_failure(&err, OX_EINVAL);
        expect(strlen(text) < 24 || strstr(err.text, text) == NULL);
    }
    free(text);
    return 0;
}
