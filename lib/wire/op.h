/*
 * op.h - one operation for Redis: a command as bytes, ready to send.
 *
 * An operation is built once and sent by either driver of a connection (client.c blocks, link.c
 * is for a loop); neither knows its contents. Scripts are sent as EVALSHA; the bytes are kept
 * until the reply is there, so that after NOSCRIPT they are resent as EVAL with the same
 * arguments.
 *
 * Layout of `bytes`: OX__OP_HEAD bytes of room, then the arguments in RESP. The head ("*argc",
 * whose length is known only at the end) is written right-aligned into the room by
 * ox__op_seal(), so nothing is moved. For scripts the first two arguments have a fixed length.
 */
#ifndef OX_LIB_OP_H
#define OX_LIB_OP_H

#include "base/buf.h"
#include "wire/script.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>

#define OX__OP_HEAD 16
/* "$7\r\nEVALSHA\r\n$40\r\n<sha>\r\n" */
#define OX__OP_EVALSHA 60
/* Room for the bytes before the source in an EVAL. */
#define OX__WIRE_HEAD 96

struct ox__op {
    struct ox__buf bytes;
    size_t argc;
    const struct ox__script *script; /* NULL: a plain command */
    size_t named;                    /* fixed arguments of the script so far */
    size_t start;                    /* where the sealed command begins in `bytes` */
    size_t commands;                 /* of a transaction; 0: this is one command */
    size_t key_at[2], keys;          /* of a plain command: where its first keys are */
};

/* What to send, in pieces. */
struct ox__op_wire {
    const char *piece[3];
    size_t len[3];
    int count;
};

void ox__op_done(struct ox__op *op);
/* Begins a call of `script` on the queue whose keys start with `base` ("prefix:name:"). The
 * keys are put from the script's own row. Earlier contents of `op` are dropped, its memory is
 * reused. */
void ox__op_script(struct ox__op *op, const struct ox__script *script, const char *base);
/* Begins a plain command. */
void ox__op_command(struct ox__op *op, const char *name);

/* Begins a transaction: commands that are sent together and have one reply, that of EXEC. */
void ox__op_transaction(struct ox__op *op);
/* Adds a command to it, which may be used again at once. `source`: the script is sent with its
 * source, because within a transaction it cannot be resent after NOSCRIPT. */
int ox__op_add(struct ox__op *op, struct ox__op *command, bool source, ox_error *err);
/* Ends it. */
void ox__op_exec(struct ox__op *op);

/* Arguments. `name` is the script's name for it, checked in debug builds; for plain commands
 * and repeated arguments (--@rest) it is there for the reader. */
void ox__op_bytes(struct ox__op *op, const char *name, const void *bytes, size_t len);
void ox__op_text(struct ox__op *op, const char *name, const char *text);
/* A job's id: C0 80 in it stands for a NUL (see ox.h). */
void ox__op_id(struct ox__op *op, const char *name, const char *id);
void ox__op_int(struct ox__op *op, const char *name, int64_t value);
/* The base and a suffix as one argument. */
void ox__op_key(struct ox__op *op, const char *base, const char *suffix);
/* The same, of a suffix that may have any bytes: the id of a job that was read. */
void ox__op_key_of(struct ox__op *op, const char *base, const void *suffix, size_t len);

/* The operation's name in errors: the script or the command; at least 24 bytes. */
void ox__op_name(const struct ox__op *op, char *out, size_t size);

/* As ox__reply_check(), but the error of a plain command names the key that is of another type,
 * which Redis does not. (Scripts name theirs: lib/lua/inc/undo.lua.) */
int ox__op_check(const struct ox__op *op, const redisReply *reply, ox_error *err);

/* Writes the head. Returns 0 or OX_ENOMEM (also when the command exceeds Redis' limit).
 */
int ox__op_seal(struct ox__op *op, ox_error *err);
/* The sealed bytes; with `source`, as EVAL. `head` must outlive the wire. */
void ox__op_wire(
    const struct ox__op *op, bool source, char head[OX__WIRE_HEAD], struct ox__op_wire *wire);

#endif /* OX_LIB_OP_H */
