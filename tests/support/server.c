/* server.c - see server.h. */
#include "server.h"

struct test_redis *redis;

int test_server_up(void **state)
{
    (void)state;
    redis = test_redis_start(NULL);
    return 0;
}

int test_server_down(void **state)
{
    (void)state;
    test_redis_stop(redis);
    return 0;
}
