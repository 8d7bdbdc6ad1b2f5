/* place.c - reads a place in a stream; see place.h. */
#include "events/place.h"

#include "base/error.h"
#include "events/pack.h"

#include <string.h>

int ox__place_read(struct ox__place *place, const char *text, ox_error *err)
{
    *place = (struct ox__place){ .kind = text };
    if (strcmp(text, "start") == 0 || strcmp(text, "end") == 0) {
        return 0;
    }
    if (!ox__position_read(text, &place->ms, &place->number)) {
        return ox__fail(err, OX_EINVAL,
            "\"%.60s\" is not a place in a stream: start, end, a position such as "
            "1700000000000-42, or Unix ms",
            text);
    }
    place->kind = strchr(text, '-') != NULL ? "position" : "time";
    return 0;
}

void ox__place_put(struct ox__op *op, const struct ox__place *place)
{
    ox__op_text(op, "place", place->kind);
    ox__op_int(op, "ms", place->ms);
    ox__op_int(op, "number", place->number);
}
