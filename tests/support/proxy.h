/*
 * proxy.h - a way to a private server on which replies are lost: the server has done what it
 * was asked, and the connection ends before the reply came.
 */
#ifndef OX_TESTS_PROXY_H
#define OX_TESTS_PROXY_H

#include "redis.h"

struct test_proxy;

/** Listens beside the server's socket. */
struct test_proxy *test_proxy_start(const struct test_redis *redis);
const char *test_proxy_url(const struct test_proxy *proxy);
/** From now on each `every`th read of replies is lost with its connection, `times` times. */
void test_proxy_lose(struct test_proxy *proxy, int every, int times);
/** How many were lost. */
int test_proxy_lost(struct test_proxy *proxy);
/** NULL is fine. */
void test_proxy_stop(struct test_proxy *proxy);

#endif /* OX_TESTS_PROXY_H */
