/*
 * member.h - a member of a group, as the server sees it: the scripts that take, end and renew
 * entries, and the wait for more, as operations and the meaning of their replies. It sends
 * nothing and keeps no entries.
 */
#ifndef OX_LIB_EVENTS_MEMBER_H
#define OX_LIB_EVENTS_MEMBER_H

#include "events/held.h"
#include "events/place.h"
#include "queue/queue_at.h"
#include "wire/request.h"

struct ox__member {
    struct ox__queue_at at; /* of the stream */
    char *group, *name;     /* owned */
    char *from;             /* owned: where the group begins when it is not there */
    struct ox__place place; /* the same; its text is in `from` */
    bool ordered;
    uint32_t claim_ms, max_deliveries;
    char seen[OX_POSITION_SIZE]; /* where the group was last; "" at first */
    char rung[OX_POSITION_SIZE]; /* the last mark in `wake` that is known */
    double per, size;            /* events and bytes that an entry has, about */
};

void ox__member_done(struct ox__member *member);

struct ox__take_wish {
    int64_t events, bytes;
    int64_t idle_ms; /* see take_events.lua */
};

/* What a take, or a read, answered. */
struct ox__take_answer {
    bool owner;          /* may work */
    int64_t look_ms;     /* else when to ask again */
    int64_t lost;        /* events, -1: not known how many */
    bool more, more_old; /* there may be more to take; and not only what is new in the log */
    bool read;           /* its entries are as a read brings them */
    const redisReply *entries, *errors; /* arrays, or NULL */
};

void ox__member_take(
    const struct ox__member *member, struct ox__op *op, const struct ox__take_wish *wish);
bool ox__member_take_fits(const struct ox__request *request, const redisReply *reply);
/* Reads the reply, and where the group is now. Returns 0, or a failure for a refusal. */
int ox__member_taken(struct ox__member *member, const redisReply *reply,
    struct ox__take_answer *answer, ox_error *err);

/* A read of up to `count` new entries of the log, and of nothing else: a plain command behind a
 * look at the group, in one transaction. */
void ox__member_read(const struct ox__member *member, struct ox__op *op, int64_t count);
bool ox__member_read_fits(const struct ox__request *request, const redisReply *reply);
/* Reads the reply, and where the group is now. False when there is something about the group
 * that a take has to see to; entries that it may have brought are then as those of a lost
 * reply. */
bool ox__member_was_read(struct ox__member *member, const redisReply *reply, int64_t count,
    struct ox__take_answer *answer);
/* Whether it brought entries, all the same. */
bool ox__member_has_read(const redisReply *reply);

/* A call that ends entries: begin, and one after the other as far as there is room. */
void ox__member_end(const struct ox__member *member, struct ox__op *op, size_t held);
void ox__member_end_entry(struct ox__op *op, const struct ox__held *held);
/* One that ends the first entries of a queue in whole, as done, and nothing else. Returns how
 * many of the first `most`; 0, and there is no call, unless that is all of them. */
size_t ox__member_ack(const struct ox__member *member, struct ox__op *op, size_t held,
    const struct ox__held_queue *queue, size_t most);
bool ox__member_end_fits(const struct ox__request *request, const redisReply *reply);

void ox__member_renew(const struct ox__member *member, struct ox__op *op);
void ox__member_renew_entry(struct ox__op *op, const struct ox__held *held);
bool ox__member_renew_fits(const struct ox__request *request, const redisReply *reply);

/* The wait for something to take. `stands_by`: for a mark alone. */
void ox__member_sleep(
    const struct ox__member *member, struct ox__op *op, uint32_t ms, bool stands_by);
bool ox__member_sleep_fits(const struct ox__request *request, const redisReply *reply);
/* Whether a mark woke it, so that others' entries may be there for the taking. */
bool ox__member_was_rung(const redisReply *reply);

void ox__member_leave(const struct ox__member *member, struct ox__op *op);
bool ox__member_leave_fits(const struct ox__request *request, const redisReply *reply);

#endif /* OX_LIB_EVENTS_MEMBER_H */
