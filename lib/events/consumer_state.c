/* consumer_state.c - what the program is told of a consumer; see consumer_state.h. */
#include "events/consumer_state.h"

#include "base/error.h"

#include <string.h>

static bool is_closed(const ox_consumer *consumer)
{
    return consumer->state == OX__SERVE_CLOSED;
}

void ox__consumer_soon(ox_consumer *consumer)
{
    if (!is_closed(consumer)) {
        ox__turn_soon(&consumer->turn);
    }
}

void ox__consumer_notice(
    ox_consumer *consumer, int what, const char *position, const char *reason, int64_t count)
{
    if (!is_closed(consumer) && consumer->options.notice != NULL) {
        consumer->options.notice(consumer, what, position, reason, count, consumer->arg);
    }
}

void ox__consumer_report(ox_consumer *consumer, const ox_error *why)
{
    const struct ox__member *member = &consumer->member;
    if (is_closed(consumer) || consumer->options.error == NULL || why->code == OX_ECLOSED ||
        (why->code == consumer->told.code && strcmp(why->text, consumer->told.text) == 0)) {
        return;
    }
    ox_error full;
    consumer->told = *why;
    ox__fail(
        &full, why->code, "stream %s, group %s: %s", member->at.name, member->group, why->text);
    consumer->options.error(consumer, &full, consumer->arg);
}
