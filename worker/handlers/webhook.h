/*
 * webhook.h - the parts of the webhook handler.
 *
 *   webhook.c          the job as a message, and what the answer means to the job
 *   webhook_options.c  its rows, and what is read from files at the start
 *   webhook_sign.c     secrets and signatures, as Standard Webhooks has them
 *   webhook_guard.c    which addresses may be connected to
 *   webhook_send.c     one POST by libcurl, with its redirects, limits and connections
 *
 * All of it runs in a child, one job at a time.
 */
#ifndef OX_WORKER_WEBHOOK_H
#define OX_WORKER_WEBHOOK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "handler.h"

enum webhook_body { WEBHOOK_BODY_STANDARD, WEBHOOK_BODY_DATA };

/* What the rows fill. */
struct webhook_options {
    const char *url, *secret, *headers, *allow, *ca, *cert, *key, *proxy;
    int64_t body; /* enum webhook_body */
    int64_t redirects;
    int64_t connect_timeout_ms, request_timeout_ms, max_retry_after_ms;
    int64_t max_request, max_response; /* bytes */
    bool http, insecure;
};

extern const struct opt webhook_rows[];

/* Reads what the option `name` gives: "@FILE" is what is in that file, without spaces at its
 * ends. False leaves a message in *problem. */
bool webhook_read_file(const char *name, const char *given, char **text, char **problem);

/* ---- addresses --------------------------------------------------------------------------- */

/* What --allow lists. All zero: nothing. */
struct webhook_guard {
    GArray *nets;
    GPtrArray *hosts;
};

/* Reads "10.0.0.0/8,hook.internal"; NULL is an empty list. */
bool webhook_guard_read(struct webhook_guard *guard, const char *list, char **problem);
void webhook_guard_done(struct webhook_guard *guard);
/* The list has this host by its name, in any case of letters. */
bool webhook_guard_has_host(const struct webhook_guard *guard, const char *host);
/* The list has this address, or a network that it is in. */
bool webhook_guard_has_address(
    const struct webhook_guard *guard, const struct sockaddr *address);
/* What kind of address it is when it is none of the public internet: "loopback", "private".
 * NULL when it is public. */
const char *webhook_address_kind(const struct sockaddr *address);

/* ---- signatures -------------------------------------------------------------------------- */

/* Secrets as their bytes, of which the first may be the new one and the others the old ones. */
struct webhook_secrets {
    GPtrArray *keys; /* GBytes */
};

/* Reads secrets, "whsec_" and base64, a space or a line apart; NULL: there are none. */
bool webhook_secrets_read(struct webhook_secrets *secrets, const char *text, char **problem);
void webhook_secrets_done(struct webhook_secrets *secrets);
/* The header webhook-signature: "v1,BASE64 v1,BASE64", one a secret. Heap. */
char *webhook_sign(const struct webhook_secrets *secrets, const char *id, int64_t timestamp_s,
    const char *body, size_t length);

/* ---- transport --------------------------------------------------------------------------- */

struct webhook_message {
    const char *url;
    const char *body;
    size_t length;
    GPtrArray *headers;   /* "name: value" */
    guint public_headers; /* so many of the first ones also go to another host */
    int64_t until_us;     /* when to give up, by g_get_monotonic_time() */
};

struct webhook_reply {
    long status;
    GString *body;             /* as far as it was read */
    bool too_large, undecoded; /* more than is wanted; of an encoding that is not known */
    int64_t retry_after_ms;    /* 0: it did not ask for one */
    char *redirect; /* where to, as scheme://host, when it was not followed; or NULL */
};

enum webhook_end {
    WEBHOOK_ANSWERED,
    WEBHOOK_FAILED, /* no answer: refused, lost, too late, not trusted */
    WEBHOOK_REFUSED /* by us: it would have gone where it must not */
};

struct webhook_sender;

/* Borrows both. NULL, and a message in *problem, when libcurl cannot do what is asked. */
struct webhook_sender *webhook_sender_new(
    const struct webhook_options *options, const struct webhook_guard *guard, char **problem);
void webhook_sender_free(struct webhook_sender *sender);
/* Checks the URL that an operator gave, as far as that is possible without asking for its
 * address. */
bool webhook_check_url(const char *url, const struct webhook_options *options,
    const struct webhook_guard *guard, char **problem);
/* Sends it. `reply` is written on WEBHOOK_ANSWERED, else `why`. */
enum webhook_end webhook_send(struct webhook_sender *sender,
    const struct webhook_message *message, struct webhook_reply *reply, GString *why);
void webhook_reply_done(struct webhook_reply *reply);

extern const struct handler webhook_handler;

#endif /* OX_WORKER_WEBHOOK_H */
