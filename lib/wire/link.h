/*
 * link.h - a connection on a loop, which reconnects by itself; requests: see conn.h. `done` is
 * called from the loop.
 */
#ifndef OX_LIB_LINK_H
#define OX_LIB_LINK_H

#include "wire/conn.h"

#include <uv.h>

struct ox__link_options {
    const struct ox__url *url; /* copied */
    uint32_t connect_timeout_ms, command_timeout_ms;
    const char *client_name; /* as for a connection */
    const char *base;
    void (*up)(void *arg);
    void (*down)(void *arg, const ox_error *err);
    void *arg;
};

struct ox__link;
/* Allocates all its memory; does nothing before it is started. */
int ox__link_new(struct ox__link **out, uv_loop_t *loop, const struct ox__link_options *options,
    ox_error *err);
void ox__link_start(struct ox__link *link);
/* For one that was not started. NULL is fine. */
void ox__link_free(struct ox__link *link);
/* Takes over a sealed operation in `request->op`. The request may be reused after `done`. */
void ox__link_send(struct ox__link *link, struct ox__request *request);
/* Within `fits` and `done`: takes the reply over, to be freed with ox__free_reply(). NULL when
 * out of memory. */
redisReply *ox__link_keep_reply(struct ox__link *link);
bool ox__link_is_up(const struct ox__link *link);
/* Closes this connection in an orderly way, and makes another. */
void ox__link_renew(struct ox__link *link);
/* Closes: open requests end with OX_ECLOSED, then `closed` is called and the link is freed. */
void ox__link_close(struct ox__link *link, void (*closed)(void *arg), void *arg);

#endif /* OX_LIB_LINK_H */
