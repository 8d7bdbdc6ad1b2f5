/*
 * test_scripts.c - every script that the library carries is one that Redis compiles, under
 * the SHA-1 that the library calls it by.
 */
#include "../support/check.h"

#include <stdio.h>

#include "../support/redis.h"
#include "scripts.h"

static void redis_loads_each_under_its_sha(void **state)
{
    (void)state;
    struct test_redis *redis = test_redis_start(NULL);
    size_t count = 0;
    for (; ox__scripts[count]; count++) {
        const struct ox__script *script = ox__scripts[count];
        redisReply *reply =
            test_redis_command(redis, "SCRIPT LOAD %b", script->source, script->len);
        if (reply->type == REDIS_REPLY_ERROR)
            test_fatal("%s: %s", script->name, reply->str);
        assert_string_equal(reply->str, script->sha);
        freeReplyObject(reply);
    }
    assert_true(count > 0);
    test_redis_stop(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_loads_each_under_its_sha),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
