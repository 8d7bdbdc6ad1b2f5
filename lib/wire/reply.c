/*
 * reply.c - the server's answers, read into memory that is used again.
 *
 * hiredis' reader takes the protocol apart and asks for each element of an answer; here they
 * are laid one behind the other into a block instead of one allocation each, and often two. An
 * answer that needs more gets further blocks; when it was used they make way for one that would
 * have held it all, so that answers of the same kind soon cost no allocation. A block that is
 * larger than most need is not kept.
 *
 * hiredis from 1.0 on knows the types of RESP3 as well. We never ask for RESP3 (no HELLO), so a
 * server that sends one of them is out of its mind, and the connection is given up.
 */
#include "wire/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)4096)
#define KEEP_BYTES ((size_t)256 * 1024)
/* No answer that this library asks for has as many elements. */
#define ELEMENTS_MAX (1 << 20)

struct block {
    struct block *next;
    size_t size, used; /* of bytes */
    max_align_t bytes[];
};

struct ox__replies {
    redisReader *reader;
    struct block *blocks; /* the one that is filled first */
    size_t next_size;     /* of the next block */
    bool given;           /* what the blocks hold was handed out whole */
    bool unasked;         /* a type of RESP3 came */
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

/* Forgets all answers. */
static void clear(struct ox__replies *replies)
{
    struct block *block = replies->blocks;
    if (block != NULL && block->next == NULL && block->size <= KEEP_BYTES) {
        block->used = 0;
        return;
    }
    size_t used = 0;
    while (block != NULL) {
        struct block *next = block->next;
        used += block->used;
        free(block);
        block = next;
    }
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
    redisReply *reply = count <= ELEMENTS_MAX ? add(task, task->type) : NULL;
    if (reply != NULL && count > 0) {
        size_t bytes = (size_t)count * sizeof(redisReply *);
        reply->elements = (size_t)count;
        reply->element = take(task->privdata, bytes);
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
    while (replies->blocks != NULL) {
        struct block *next = replies->blocks->next;
        free(replies->blocks);
        replies->blocks = next;
    }
    free(replies);
}

void ox__replies_feed(struct ox__replies *replies, const char *bytes, size_t len)
{
    redisReaderFeed(replies->reader, bytes, len);
}

const char *ox__replies_next(struct ox__replies *replies, const redisReply **out)
{
    void *reply = NULL;
    *out = NULL;
    if (replies->given) {
        clear(replies);
        replies->given = false;
    }
    if (redisReaderGetReply(replies->reader, &reply) != REDIS_OK) {
        return replies->reader->errstr;
    }
    if (replies->unasked) {
        return "a reply type of RESP3, which was not asked for";
    }
    replies->given = reply != NULL;
    *out = reply;
    return NULL;
}
