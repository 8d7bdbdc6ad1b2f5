/*
 * reply.c - the server's answers: read into memory that is used again, and what errors mean.
 *
 * hiredis' reader parses the protocol and asks for each element of a reply; here they are
 * placed one after the other in a block instead of one allocation each, and often two. A reply
 * that needs more gets further blocks; after use these are replaced by one that would have held
 * all of it, so that replies of the same kind soon cost no allocation. A block that is larger
 * than most replies need is not kept.
 *
 * hiredis from 1.0 on knows the types of RESP3 as well. We never ask for RESP3 (no HELLO), so a
 * server that sends one of them is broken, and the connection is dropped.
 */
#include "wire/reply.h"

#include "base/error.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)4096)
#define SMALL_BYTES ((size_t)512)
#define KEEP_BYTES ((size_t)256 * 1024)
/* Above the number of elements of any reply to this library. */
#define ELEMENTS_MAX (1 << 20)

struct block {
    struct block *next;
    size_t size, used; /* of bytes */
    max_align_t bytes[];
};

struct ox__replies {
    redisReader *reader;
    struct block *blocks;   /* the one that is filled first */
    size_t next_size;       /* of the next block */
    const redisReply *last; /* the one that was given */
    bool unasked; /* a type of RESP3 was received, or more elements than any reply has */
};

/* A reply that was taken over: its root, and the blocks with the rest. */
struct kept {
    redisReply root;
    struct block *blocks;
};

/* ---- memory ------------------------------------------------------------------------------ */

static void *take(struct ox__replies *replies, size_t size)
{
    struct block *block = replies->blocks;
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (block == NULL || block->size - block->used < size) {
        size_t bytes = replies->next_size > size ? replies->next_size : size;
        block = malloc(sizeof(*block) + bytes);
        if (block == NULL) {
            return NULL;
        }
        *block = (struct block){ .next = replies->blocks, .size = bytes };
        replies->blocks = block;
        replies->next_size = bytes < KEEP_BYTES / 2 ? bytes * 2 : KEEP_BYTES;
    }
    void *at = (char *)block->bytes + block->used;
    block->used += size;
    return at;
}

static void free_blocks(struct block *block)
{
    while (block != NULL) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
}

/* Drops all replies. */
static void clear(struct ox__replies *replies)
{
    struct block *block = replies->blocks;
    replies->last = NULL;
    if (block != NULL && block->next == NULL && block->size <= KEEP_BYTES) {
        block->used = 0;
        return;
    }
    size_t used = 0;
    for (; block != NULL; block = block->next) {
        used += block->used;
    }
    free_blocks(replies->blocks);
    replies->blocks = NULL;
    replies->next_size = used < BLOCK_BYTES  ? BLOCK_BYTES
                         : used < KEEP_BYTES ? used
                                             : KEEP_BYTES;
}

/* ---- what the reader asks for ------------------------------------------------------------ */

static bool is_resp2(int type)
{
    return type == REDIS_REPLY_STRING || type == REDIS_REPLY_ARRAY ||
           type == REDIS_REPLY_INTEGER || type == REDIS_REPLY_NIL ||
           type == REDIS_REPLY_STATUS || type == REDIS_REPLY_ERROR;
}

static redisReply *add(const redisReadTask *task, int type)
{
    struct ox__replies *replies = task->privdata;
    redisReply *reply = take(replies, sizeof(*reply));
    replies->unasked = replies->unasked || !is_resp2(type);
    if (reply != NULL) {
        memset(reply, 0, sizeof(*reply));
        reply->type = type;
        if (task->parent != NULL) {
            redisReply *parent = task->parent->obj;
            parent->element[task->idx] = reply;
        }
    }
    return reply;
}

static void *add_string(const redisReadTask *task, char *text, size_t len)
{
    char *copy = take(task->privdata, len + 1);
    redisReply *reply = copy != NULL ? add(task, task->type) : NULL;
    if (reply != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
        reply->str = copy;
        reply->len = len;
    }
    return reply;
}

static void *add_integer(const redisReadTask *task, long long value)
{
    redisReply *reply = add(task, REDIS_REPLY_INTEGER);
    if (reply != NULL) {
        reply->integer = value;
    }
    return reply;
}

static void *add_nil(const redisReadTask *task)
{
    struct ox__replies *replies = task->privdata;
    /* A nil of RESP2 is a string or an array that is not there. */
    replies->unasked = replies->unasked || task->type == REDIS_REPLY_NIL;
    return add(task, REDIS_REPLY_NIL);
}

#if HIREDIS_MAJOR >= 1
static void *add_array(const redisReadTask *task, size_t count)
#else
static void *add_array(const redisReadTask *task, int count)
#endif
{
    struct ox__replies *replies = task->privdata;
    if (count > ELEMENTS_MAX) {
        replies->unasked = true;
        return NULL;
    }
    redisReply *reply = add(task, task->type);
    if (reply != NULL && count > 0) {
        size_t bytes = (size_t)count * sizeof(redisReply *);
        reply->elements = (size_t)count;
        reply->element = take(replies, bytes);
        if (reply->element == NULL) {
            return NULL;
        }
        memset(reply->element, 0, bytes);
    }
    return reply;
}

/* hiredis hands on small numbers as pointers to replies where one of its functions is missing.
 */
#if HIREDIS_MAJOR >= 1
static void *add_double(const redisReadTask *task, double value, char *text, size_t len)
{
    (void)value;
    return add_string(task, text, len);
}

static void *add_bool(const redisReadTask *task, int value)
{
    redisReply *reply = add(task, task->type);
    if (reply != NULL) {
        reply->integer = value != 0;
    }
    return reply;
}
#endif

/* They all go at once. */
static void drop(void *reply)
{
    (void)reply;
}

/* ---- reading ----------------------------------------------------------------------------- */

struct ox__replies *ox__replies_new(void)
{
    static redisReplyObjectFunctions functions = {
        .createString = add_string,
        .createArray = add_array,
        .createInteger = add_integer,
        .createNil = add_nil,
#if HIREDIS_MAJOR >= 1
        .createDouble = add_double,
        .createBool = add_bool,
#endif
        .freeObject = drop,
    };
    struct ox__replies *replies = calloc(1, sizeof(*replies));
    if (replies == NULL) {
        return NULL;
    }
    replies->next_size = BLOCK_BYTES;
    replies->reader = redisReaderCreateWithFunctions(&functions);
    if (replies->reader == NULL) {
        free(replies);
        return NULL;
    }
    replies->reader->privdata = replies;
    /* Else a buffer of more than 16 KB is freed after each answer, and made anew. */
    replies->reader->maxbuf = KEEP_BYTES;
    return replies;
}

void ox__replies_free(struct ox__replies *replies)
{
    if (replies == NULL) {
        return;
    }
    redisReaderFree(replies->reader);
    free_blocks(replies->blocks);
    free(replies);
}

void ox__replies_feed(struct ox__replies *replies, const char *bytes, size_t len)
{
    redisReaderFeed(replies->reader, bytes, len);
}

int ox__replies_next(struct ox__replies *replies, const redisReply **out, ox_error *err)
{
    void *reply = NULL;
    *out = NULL;
    if (replies->last != NULL) {
        clear(replies);
    }
    int rc = redisReaderGetReply(replies->reader, &reply);
    if (replies->unasked) {
        return ox__fail(err, OX_EREPLY, "not Redis, or not RESP2: unexpected reply type");
    }
    if (rc != REDIS_OK) {
        return replies->reader->err == REDIS_ERR_OOM
                   ? ox__fail_memory(err)
                   : ox__fail(err, OX_EREPLY, "not Redis: %s", replies->reader->errstr);
    }
    *out = replies->last = reply;
    return 0;
}

redisReply *ox__replies_keep(struct ox__replies *replies)
{
    struct kept *kept = malloc(sizeof(*kept));
    if (kept == NULL) {
        return NULL;
    }
    size_t used = 0;
    for (struct block *block = replies->blocks; block != NULL; block = block->next) {
        used += block->used;
    }
    kept->root = *replies->last;
    kept->blocks = OX__STEAL(replies->blocks);
    replies->next_size = used < SMALL_BYTES  ? SMALL_BYTES
                         : used < KEEP_BYTES ? used
                                             : KEEP_BYTES;
    replies->last = NULL;
    return &kept->root;
}

void ox__free_reply(redisReply **reply)
{
    struct kept *kept = (struct kept *)*reply; /* its root is the first member */
    if (kept != NULL) {
        free_blocks(kept->blocks);
        free(kept);
        *reply = NULL;
    }
}

/* ---- what errors mean -------------------------------------------------------------------- */

static bool starts(const redisReply *reply, const char *prefix)
{
    return strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

/* Redis appends to some errors the place in the script; that does not help users, and its 70
 * bytes would push useful text out. */
static int without_script(const char *text)
{
    const char *script = strstr(text, " script: ");
    size_t len = script != NULL ? (size_t)(script - text) : strlen(text);
    bool sentence = script != NULL && len > 0 && text[len - 1] == '.';
    return (int)(sentence ? len - 1 : len);
}

int ox__reply_check(const redisReply *reply, ox_error *err)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }
    int len = without_script(reply->str);
    if (starts(reply, "NOAUTH") || starts(reply, "WRONGPASS") ||
        starts(reply, "ERR invalid password") || starts(reply, "ERR AUTH")) {
        return ox__fail(err, OX_EAUTH, "Redis refused the credentials: %.*s", len, reply->str);
    }
    int code = starts(reply, "NOPERM") ? OX_EAUTH : OX_ESERVER;
    const char *cause = starts(reply, "ERR Protocol error: invalid bulk length")
                            ? " (a text is longer than the server's proto-max-bulk-len)"
                        : starts(reply, "CROSSSLOT")
                            ? " (in a Redis Cluster a prefix with a hash tag, such as {bull}, "
                              "has all in one slot)"
                            : "";
    return ox__fail(err, code, "Redis: %.*s%s", len, reply->str, cause);
}

bool ox__reply_is_unreadable(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && starts(reply, "ERR Protocol error");
}

bool ox__reply_is_noscript(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0;
}

const char *ox__reply_not_now(const redisReply *reply)
{
    static const struct {
        const char *word, *text;
    } reasons[] = {
        { "LOADING ", "it is loading its data (LOADING)" },
        { "READONLY ", "it is a read-only replica (READONLY)" },
        { "UNBLOCKED ", "it became a replica (UNBLOCKED)" },
        { "MASTERDOWN ", "it is a replica that lost its master (MASTERDOWN)" },
        { "MISCONF ", "it cannot save its data to disk (MISCONF)" },
        { "OOM ", "it is out of memory (OOM)" },
        { "NOREPLICAS ", "it has too few replicas (NOREPLICAS)" },
        { "CLUSTERDOWN ", "the cluster is down (CLUSTERDOWN)" },
        { "TRYAGAIN ", "the cluster is moving the queue (TRYAGAIN)" },
        { "BUSY ", "a script runs for too long (BUSY)" },
    };
    if (reply->type != REDIS_REPLY_ERROR) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        /* Redis 6 quotes what a script met: "ERR Error running script (..): -OOM command". */
        const char *at = strstr(reply->str, reasons[i].word);
        if (at == reply->str || (at != NULL && at[-1] == '-')) {
            return reasons[i].text;
        }
    }
    return NULL;
}
