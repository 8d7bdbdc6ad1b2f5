/* webhook_options.c - the options of the webhook handler, and the files that they name. */
#include "webhook.h"

#include <string.h>

#include "frame.h"

#define FILE_MAX_BYTES ((gsize)64 << 10)
#define DAY_MS (INT64_C(86400) * 1000)

bool webhook_read_file(const char *name, const char *given, char **text, char **problem)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *read = NULL;
    gsize length;
    if (*given != '@' || given[1] == '\0') {
        *problem = g_strdup_printf("--%s takes @FILE, so that no other user of the machine "
                                   "sees what is in it",
            name);
        return false;
    }
    if (!g_file_get_contents(given + 1, &read, &length, &error)) {
        *problem = g_strdup_printf("--%s: %s", name, error->message);
        return false;
    }
    if (length > FILE_MAX_BYTES || strlen(read) < length) {
        *problem = g_strdup_printf("--%s: %s is not a text of up to 64K", name, given + 1);
        return false;
    }
    *text = g_strdup(g_strstrip(read));
    return true;
}

#define AT(member) .offset = offsetof(struct webhook_options, member)

const struct opt webhook_rows[] = {
    { .name = "url",
        .kind = OPT_TEXT,
        AT(url),
        .arg = "URL|@FILE",
        .help = "where to send jobs of queues that give no URL after webhook:, or the file "
                "that has it" },
    { .name = "secret",
        .kind = OPT_TEXT,
        AT(secret),
        .arg = "@FILE",
        .help = "sign with the secrets in that file, whsec_..., a line each; else with those "
                "in WEBHOOK_SECRET, else not at all" },
    { .name = "headers",
        .kind = OPT_TEXT,
        AT(headers),
        .arg = "@FILE",
        .help = "send these headers as well, NAME: VALUE, a line each" },
    { .name = "body",
        .kind = OPT_CHOICE,
        AT(body),
        .arg = "standard|data",
        .standard = "standard",
        .help = "send an object with type, timestamp and data, or the job's data alone" },
    { .name = "allow",
        .kind = OPT_TEXT,
        AT(allow),
        .arg = "CIDR|HOST,...",
        .help = "also send to these addresses, networks and hosts, which may be private and "
                "without TLS" },
    { .name = "http",
        .kind = OPT_FLAG,
        AT(http),
        .help = "also send without TLS, to public addresses too: anyone on the way can read "
                "it" },
    { .name = "redirects",
        .kind = OPT_COUNT,
        AT(redirects),
        .max = 10,
        .arg = "N",
        .standard = "0",
        .help = "follow so many redirects of status 307 and 308" },
    { .name = "connect-timeout",
        .kind = OPT_DURATION,
        AT(connect_timeout_ms),
        .min = 1,
        .max = DAY_MS,
        .arg = "TIME",
        .standard = "10s",
        .help = "time for a connection, TLS included" },
    { .name = "request-timeout",
        .kind = OPT_DURATION,
        AT(request_timeout_ms),
        .min = 1,
        .max = DAY_MS,
        .arg = "TIME",
        .standard = "30s",
        .help = "time for it all; less when the job's timeout comes before" },
    { .name = "max-retry-after",
        .kind = OPT_DURATION,
        AT(max_retry_after_ms),
        .arg = "TIME",
        .standard = "1d",
        .help = "wait as long as Retry-After asks for, but no longer than this" },
    { .name = "max-request",
        .kind = OPT_BYTES,
        AT(max_request),
        .min = 1,
        .arg = "SIZE",
        .standard = "16M",
        .help = "fail jobs whose request has a larger body" },
    { .name = "max-response",
        .kind = OPT_BYTES,
        AT(max_response),
        .min = 1,
        .max = FRAME_RESULT_MAX / 2,
        .arg = "SIZE",
        .standard = "1M",
        .help = "fail jobs whose response has a larger body" },
    { .name = "ca",
        .kind = OPT_TEXT,
        AT(ca),
        .arg = "FILE",
        .help = "trust the authorities of this PEM file instead of the system's" },
    { .name = "cert",
        .kind = OPT_TEXT,
        AT(cert),
        .arg = "FILE",
        .help = "show this certificate to a server that asks for one; PEM with its chain" },
    { .name = "key",
        .kind = OPT_TEXT,
        AT(key),
        .arg = "FILE",
        .help = "its key, PEM without a password; else it is in the file of --cert" },
    { .name = "insecure",
        .kind = OPT_FLAG,
        AT(insecure),
        .help = "take any certificate: whoever is in between can read and change everything" },
    { .name = "proxy",
        .kind = OPT_TEXT,
        AT(proxy),
        .arg = "URL|@FILE",
        .help = "send through this proxy, which then decides what may be connected to; "
                "variables such as https_proxy do not count" },
    { 0 },
};
