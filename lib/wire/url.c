/*
 * url.c - connection URLs.
 *
 * The grammar is small on purpose: scheme, credentials, host or path, database, and options of
 * TLS. Anything else is an error, since a typo that silently means "localhost, database 0"
 * would send jobs to the wrong server, and one that disables verification would send them to
 * anybody.
 */
#include "wire/url.h"

#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes %XX; NULL when an escape is invalid or means NUL, or when out of memory. */
static char *unescape(const char *text, size_t len)
{
    char *out = malloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex(text[i + 1]) : -1;
            int low = i + 2 < len ? hex(text[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                free(out);
                return NULL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[n++] = c;
    }
    if (out != NULL) {
        out[n] = '\0';
    }
    return out;
}

/* The whole of `text` as a number from 0 to `max`, or -1. */
static int number(const char *text, int max)
{
    char *end = NULL;
    if (*text < '0' || *text > '9') {
        return -1;
    }
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno != 0 || *end != '\0' || value > max ? -1 : (int)value;
}

static int bad(ox_error *err, const char *what)
{
    return ox__fail(err, OX_EINVAL,
        "bad Redis URL: %s (expected redis://[user:password@]host"
        "[:port][/db], rediss:// for TLS, or unix:///path[?db=n])",
        what);
}

/* Takes "user:password@" off the front of the authority that ends at `end`. */
static int take_credentials(
    struct ox__url *url, const char **text, const char *end, ox_error *err)
{
    const char *at = NULL;
    for (const char *p = *text; p < end; p++) {
        at = *p == '@' ? p : at;
    }
    if (at == NULL) {
        return 0;
    }
    const char *colon = memchr(*text, ':', (size_t)(at - *text));
    const char *user_end = colon != NULL ? colon : at;
    if (user_end > *text) {
        url->user = unescape(*text, (size_t)(user_end - *text));
        if (url->user == NULL) {
            return bad(err, "the user name has a bad escape");
        }
    }
    if (colon != NULL) {
        url->password = unescape(colon + 1, (size_t)(at - colon - 1));
        if (url->password == NULL) {
            return bad(err, "the password has a bad escape");
        }
    }
    *text = at + 1;
    return 0;
}

static int parse_unix(struct ox__url *url, const char *text, ox_error *err)
{
    const char *slash = strchr(text, '/');
    if (slash == NULL) {
        return bad(err, "unix:// needs an absolute path");
    }
    int rc = take_credentials(url, &text, slash, err);
    if (rc < 0) {
        return rc;
    }
    if (*text != '/') {
        return bad(err, "unix:// needs an absolute path");
    }
    size_t len = strcspn(text, "?");
    url->socket = unescape(text, len);
    if (url->socket == NULL) {
        return bad(err, "the path has a bad escape");
    }
    if (strlen(url->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        return bad(err, "the socket's path is longer than the system allows");
    }
    if (text[len] == '?') {
        url->db = strncmp(text + len, "?db=", 4) == 0 ? number(text + len + 4, INT_MAX) : -1;
        if (url->db < 0) {
            return bad(err, "after the path only ?db=NUMBER can follow");
        }
    }
    return 0;
}

/* Splits "host:port", "[v6]:port" or "host"; the host may be empty. */
static int parse_place(struct ox__url *url, const char *text, size_t len, ox_error *err)
{
    const char *host = text, *end = text + len, *rest;
    if (len > 0 && *text == '[') {
        const char *close = memchr(text, ']', len);
        if (close == NULL) {
            return bad(err, "'[' without ']'");
        }
        host = text + 1;
        rest = close + 1;
        url->host = unescape(host, (size_t)(close - host));
    } else {
        const char *colon = memchr(text, ':', len);
        rest = colon != NULL ? colon : end;
        url->host = rest > host ? unescape(host, (size_t)(rest - host)) : strdup("127.0.0.1");
    }
    if (url->host == NULL || *url->host == '\0') {
        return bad(err, "the host is not readable");
    }
    url->port = 6379;
    if (rest < end) {
        char port[8] = "";
        if (*rest != ':' || end - rest - 1 > 5) {
            return bad(err, "the port is not a number from 1 to 65535");
        }
        memcpy(port, rest + 1, (size_t)(end - rest - 1));
        url->port = number(port, 65535);
        if (url->port < 1) {
            return bad(err, "the port is not a number from 1 to 65535");
        }
    }
    return 0;
}

/* "/N" at `*text`, or the slash alone. */
static int parse_database(struct ox__url *url, const char **text, ox_error *err)
{
    char digits[12] = "";
    size_t len = strcspn(*text + 1, url->tls ? "?" : "");
    if (len > 0 && len < sizeof(digits)) {
        memcpy(digits, *text + 1, len);
    }
    url->db = len > 0 ? number(digits, INT_MAX) : 0;
    *text += 1 + len;
    return url->db < 0 ? bad(err, "after the '/' a database number is expected") : 0;
}

/* NAME=VALUE pairs, joined by '&', each once. */
static int parse_tls(struct ox__url *url, const char *text, ox_error *err)
{
    char *insecure = NULL;
    const struct {
        const char *name;
        char **value;
    } names[] = { { "ca=", &url->tls_ca }, { "cert=", &url->tls_cert },
        { "key=", &url->tls_key }, { "name=", &url->tls_name }, { "insecure=", &insecure } };
    for (bool more = true; more;) {
        size_t len = strcspn(text, "&"), i = 0;
        while (i < sizeof(names) / sizeof(names[0]) &&
               strncmp(text, names[i].name, strlen(names[i].name)) != 0) {
            i++;
        }
        if (i == sizeof(names) / sizeof(names[0]) || *names[i].value != NULL) {
            free(insecure);
            return bad(err, "after the '?' of rediss:// stand ca=, cert=, key=, name= and "
                            "insecure=yes, each once");
        }
        size_t skip = strlen(names[i].name);
        *names[i].value = unescape(text + skip, len - skip);
        if (*names[i].value == NULL || **names[i].value == '\0') {
            free(insecure);
            return bad(err, "a value behind the '?' is empty or has a bad escape");
        }
        more = text[len] == '&';
        text += len + 1;
    }
    url->tls_insecure = insecure != NULL && strcmp(insecure, "yes") == 0;
    bool unclear = insecure != NULL && !url->tls_insecure;
    free(insecure);
    return unclear ? bad(err, "insecure=yes is the only value of insecure") : 0;
}

static int parse_tcp(struct ox__url *url, const char *text, ox_error *err)
{
    const char *end = text + strcspn(text, "/?#");
    int rc = take_credentials(url, &text, end, err);
    if (rc == 0) {
        rc = parse_place(url, text, (size_t)(end - text), err);
    }
    if (rc == 0 && *end == '/') {
        rc = parse_database(url, &end, err);
    }
    if (rc == 0 && url->tls && *end == '?') {
        return parse_tls(url, end + 1, err);
    }
    if (rc == 0 && *end != '\0') {
        rc = bad(err, "nothing but /db can follow the host");
    }
    return rc;
}

int ox__url_parse(struct ox__url *out, const char *text, ox_error *err)
{
    struct ox__url url = { .port = 0 };
    int rc;
    text = text != NULL ? text : "redis://127.0.0.1:6379";
    if (strncmp(text, "redis://", 8) == 0) {
        rc = parse_tcp(&url, text + 8, err);
    } else if (strncmp(text, "unix://", 7) == 0) {
        rc = parse_unix(&url, text + 7, err);
    } else if (strncmp(text, "rediss://", 9) == 0) {
        url.tls = true;
        rc = parse_tcp(&url, text + 9, err);
    } else {
        rc = bad(err, "unknown scheme");
    }
    if (rc < 0) {
        ox__url_done(&url);
        return rc;
    }
    *out = url;
    return 0;
}

static int copy_text(char **out, const char *from)
{
    *out = from != NULL ? strdup(from) : NULL;
    return from != NULL && *out == NULL ? -1 : 0;
}

int ox__url_copy(struct ox__url *out, const struct ox__url *from, ox_error *err)
{
    struct ox__url url = {
        .port = from->port, .db = from->db, .tls = from->tls, .tls_insecure = from->tls_insecure
    };
    if (copy_text(&url.socket, from->socket) < 0 || copy_text(&url.host, from->host) < 0 ||
        copy_text(&url.user, from->user) < 0 || copy_text(&url.password, from->password) < 0 ||
        copy_text(&url.tls_ca, from->tls_ca) < 0 ||
        copy_text(&url.tls_cert, from->tls_cert) < 0 ||
        copy_text(&url.tls_key, from->tls_key) < 0 ||
        copy_text(&url.tls_name, from->tls_name) < 0) {
        ox__url_done(&url);
        return ox__fail_memory(err);
    }
    *out = url;
    return 0;
}

static int set_text(char **out, const char *value, ox_error *err)
{
    if (value == NULL) {
        return 0;
    }
    free(*out);
    *out = strdup(value);
    return *out == NULL ? ox__fail_memory(err) : 0;
}

int ox__url_set_tls(struct ox__url *url, const ox_client_options *options, ox_error *err)
{
    bool any = options->tls_ca != NULL || options->tls_cert != NULL ||
               options->tls_key != NULL || options->tls_name != NULL || options->tls_insecure;
    if (any && !url->tls) {
        return ox__fail(err, OX_EINVAL, "options of TLS need a rediss:// URL");
    }
    url->tls_insecure = url->tls_insecure || options->tls_insecure;
    int rc = set_text(&url->tls_ca, options->tls_ca, err);
    if (rc == 0) {
        rc = set_text(&url->tls_cert, options->tls_cert, err);
    }
    if (rc == 0) {
        rc = set_text(&url->tls_key, options->tls_key, err);
    }
    return rc == 0 ? set_text(&url->tls_name, options->tls_name, err) : rc;
}

void ox__url_done(struct ox__url *url)
{
    free(url->tls_ca);
    free(url->tls_cert);
    free(url->tls_key);
    free(url->tls_name);
    free(url->socket);
    free(url->host);
    free(url->user);
    free(url->password);
    memset(url, 0, sizeof(*url));
}

void ox__url_where(const struct ox__url *url, char *out, size_t size)
{
    if (url->socket != NULL) {
        snprintf(out, size, "%s", url->socket);
    } else {
        snprintf(out, size, "%s:%d", url->host, url->port);
    }
}
