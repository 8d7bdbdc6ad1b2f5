/*
 * server.h - the one private redis-server of a test program, for all its tests.
 */
#ifndef OX_TESTS_SERVER_H
#define OX_TESTS_SERVER_H

#include "redis.h"

extern struct test_redis *redis;

/** Group set-up and tear-down that start and stop it. */
int test_server_up(void **state);
int test_server_down(void **state);

#endif /* OX_TESTS_SERVER_H */
