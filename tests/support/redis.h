/*
 * redis.h - a private redis-server for a test program.
 *
 * It listens on a unix socket in a temporary folder, on no port, and keeps nothing. It dies
 * with the test program. `test_redis_command` looks at it directly, so that a test judges
 * libox by what is in Redis and not by libox.
 */
#ifndef OX_TESTS_REDIS_H
#define OX_TESTS_REDIS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct test_redis {
    char *dir;      /* its folder: socket, log, data if told to keep some */
    char *socket;   /* path of the unix socket */
    char *url;      /* unix://..., without a password */
    char *password; /* of --requirepass, or NULL */
    char *clock;    /* file of its clock, see clock/clock.c, or NULL: it has the machine's */
    char *clock_library;
    char **argv;
    pid_t pid; /* 0 while it does not run */
    redisContext *context;
};

/**
 * Starts a server and waits until it answers. Fails the test when it does not.
 * @param extra_args  more words for its command line, ended by NULL, or NULL; for example
 *                    { "--requirepass", "secret", NULL } or { "--appendonly", "yes", NULL }
 */
struct test_redis *test_redis_start(const char *const *extra_args);
/** The same, with a clock that the test moves. */
struct test_redis *test_redis_start_clocked(const char *const *extra_args);
/** Sets its clock to so many ms before (negative) or behind the machine's, at once. */
void test_redis_set_clock(struct test_redis *redis, int64_t offset_ms);
const char *test_redis_url(const struct test_redis *redis);

/** Stops it and removes its folder. NULL is fine. */
void test_redis_stop(struct test_redis *redis);

/** Ends it at once, as a crash would. Its folder stays. */
void test_redis_kill(struct test_redis *redis);
/** Starts it again after a kill: same socket, same options. */
void test_redis_revive(struct test_redis *redis);

/** Runs a command; the reply is the caller's (freeReplyObject), and may be an error reply.
 *  Fails the test when the connection breaks. */
redisReply *test_redis_command(struct test_redis *redis, const char *format, ...);
/** Runs a command for what it does; fails the test when it is refused. */
void test_redis_do(struct test_redis *redis, const char *format, ...);
/** An integer reply, or a string reply read as one; fails the test on any other, but nil
 *  is 0. */
long long test_redis_int(struct test_redis *redis, const char *format, ...);
/** A string or status reply as text, NULL for nil; the caller's (g_free). */
char *test_redis_text(struct test_redis *redis, const char *format, ...);

/** A TCP port of 127.0.0.1 that was free a moment ago, for { "--port", ... }. */
int test_free_port(void);

#endif /* OX_TESTS_REDIS_H */
