/*
 * consumer_link.c - what the log is told of a consumer's connection, and of errors that it
 * survives; see consumer_parts.h.
 */
#include "consumer_parts.h"
#include "log.h"

#define OUTAGE_LINE_MS 60000 /* between lines of one kind about a lost connection.. */
#define ERROR_LINE_MS 1000   /* ..and about jobs */
#define STEADY_MS 1000       /* a connection that breaks sooner was none */

static bool is_news(struct told *told, int code, uint64_t rest_ms)
{
    uint64_t now = uv_hrtime();
    if (told->code == code && now - told->at_ns < rest_ms * 1000000) {
        told->left_out++;
        return false;
    }
    told->code = code;
    told->at_ns = now;
    return true;
}

/* Whether waiting may mend it: the server is not there yet, or loads its data. */
static bool may_pass(int code)
{
    return code == OX_ECONNECT || code == OX_ETIMEOUT || code == OX_ELOST;
}

/* One line when the connection is lost, one when it is back, however often both are tried; a
 * connection that was good for a while makes the next loss news. A server that is away is
 * waited for, but no waiting mends a wrong password. */
void consumer_tell_error(struct consumer *consumer, const char *id, const ox_error *error)
{
    if (!may_pass(error->code) && !consumer->connected && !consumer->closing) {
        consumer->hooks->refused(consumer->owner, error);
        if (consumer->closing) {
            return;
        }
    }
    consumer->hooks->telling(consumer->owner);
    if (id == NULL && consumer->ready_ns > 0 &&
        uv_hrtime() - consumer->ready_ns > STEADY_MS * 1000000ull) {
        consumer->outage.code = 0;
    }
    if (id == NULL) {
        consumer->ready_ns = 0;
    }
    struct told *told = id != NULL ? &consumer->job_error : &consumer->outage;
    if (!is_news(told, error->code, id != NULL ? ERROR_LINE_MS : OUTAGE_LINE_MS)) {
        return;
    }
    log_begin(LOG_ERROR, "error");
    log_place(consumer_place(consumer));
    log_text("id", id);
    log_text("reason", error->text);
    if (told->left_out > 0) {
        log_number("left_out", (int64_t)told->left_out);
    }
    log_end();
    told->left_out = 0;
    consumer->quiet = consumer->quiet && id != NULL;
}

void consumer_tell_ready(struct consumer *consumer)
{
    consumer->hooks->telling(consumer->owner);
    consumer->ready_ns = uv_hrtime();
    if (!consumer->quiet) {
        log_begin(LOG_INFO, "connected");
        log_place(consumer_place(consumer));
        log_end();
    }
    consumer->quiet = true;
    if (!consumer->connected) {
        consumer->connected = true;
        consumer->hooks->connected(consumer->owner);
    }
}
