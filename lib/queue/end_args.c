/* end_args.c - the arguments of the scripts that end runs; see end_args.h. */
#include "queue/end_args.h"

#include "codes.h"

#include <string.h>

void ox__put_take_args(struct ox__op *op, const struct ox__take_args *take)
{
    ox__op_int(op, "now", take->now_ms);
    ox__op_int(op, "want", take->want);
    ox__op_text(op, "token", take->token != NULL ? take->token : "");
    ox__op_int(op, "lock_ms", take->lock_ms);
    ox__op_text(op, "name", take->name != NULL ? take->name : "");
    ox__op_int(op, "limit_max", take->limit_max);
    ox__op_int(op, "limit_ms", take->limit_ms);
    ox__op_text(op, "popped", take->popped != NULL ? take->popped : "0");
    ox__op_text(op, "look", take->look ? "1" : "0");
    ox__op_int(op, "error_ms", take->error_ms);
    ox__op_text(op, "apart", take->apart ? "1" : "0");
}

static struct ox__field text(const char *from)
{
    return (struct ox__field){ from, strlen(from) };
}

void ox__end_args(struct ox__end_args *out, const struct ox__job_end *end, const char *token,
    const struct ox__field *id)
{
    struct ox__field *arg = out->arg;
    *arg++ = (struct ox__field){ &end->kind, 1 };
    *arg++ = text(end->keep);
    *arg++ = text(token);
    *arg++ = *id;
    *arg++ = (struct ox__field){ end->value, end->value_len };
    if (end->kind != OX__END_COMPLETED) {
        *arg++ = text(end->stack);
        *arg++ = (struct ox__field){ out->number, ox__int_text(out->number, end->number) };
        *arg++ = text(end->telemetry != NULL ? end->telemetry : "");
    }
    out->count = (size_t)(arg - out->arg);
}
