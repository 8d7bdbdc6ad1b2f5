/* op.c - builds commands in Redis' own protocol; see op.h for the layout of the bytes. */
#include "wire/op.h"

#include "base/error.h"
#include "wire/reply.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory that an operation keeps for its next use. */
#define KEEP_BYTES (256 * 1024)

void ox__op_done(struct ox__op *op)
{
    ox__buf_done(&op->bytes);
}

static void begin(struct ox__op *op, const struct ox__script *script)
{
    ox__buf_reset(&op->bytes, KEEP_BYTES);
    op->argc = 0;
    op->named = 0;
    op->script = script;
    op->commands = op->keys = 0;
    if (ox__buf_room(&op->bytes, OX__OP_HEAD) != NULL) {
        op->bytes.len = OX__OP_HEAD;
    }
}

/* Puts one argument, which stands in two parts. */
static void put_both(
    struct ox__op *op, const void *head, size_t head_len, const void *bytes, size_t len)
{
    char *at = ox__buf_room(&op->bytes, head_len + len + 32);
    if (at == NULL) {
        return;
    }
    char *p = at;
    *p++ = '$';
    p += ox__int_text(p, (int64_t)(head_len + len));
    *p++ = '\r';
    *p++ = '\n';
    if (head_len > 0) {
        memcpy(p, head, head_len);
    }
    p += head_len;
    if (len > 0) {
        memcpy(p, bytes, len);
    }
    p += len;
    *p++ = '\r';
    *p++ = '\n';
    op->bytes.len += (size_t)(p - at);
    op->argc++;
}

static void put(struct ox__op *op, const void *bytes, size_t len)
{
    put_both(op, NULL, 0, bytes, len);
}

void ox__op_key_of(struct ox__op *op, const char *base, const void *suffix, size_t len)
{
    if (op->script == NULL && op->keys < sizeof(op->key_at) / sizeof(op->key_at[0])) {
        op->key_at[op->keys++] = op->bytes.len;
    }
    put_both(op, base, strlen(base), suffix, len);
}

void ox__op_key(struct ox__op *op, const char *base, const char *suffix)
{
    ox__op_key_of(op, base, suffix, strlen(suffix));
}

void ox__op_script(struct ox__op *op, const struct ox__script *script, const char *base)
{
    begin(op, script);
    put(op, "EVALSHA", 7);
    put(op, script->sha, 40);
    assert(op->bytes.failed || op->bytes.len == OX__OP_HEAD + OX__OP_EVALSHA);
    char count[21];
    put(op, count, ox__int_text(count, (int64_t)script->key_count));
    for (size_t i = 0; i < script->key_count; i++) {
        ox__op_key(op, base, script->keys[i]);
    }
}

void ox__op_command(struct ox__op *op, const char *name)
{
    begin(op, NULL);
    put(op, name, strlen(name));
}

void ox__op_bytes(struct ox__op *op, const char *name, const void *bytes, size_t len)
{
    if (op->script != NULL && op->named < op->script->arg_count) {
        assert(strcmp(op->script->args[op->named], name) == 0);
        op->named++;
    }
    (void)name;
    put(op, bytes, len);
}

void ox__op_text(struct ox__op *op, const char *name, const char *text)
{
    ox__op_bytes(op, name, text, strlen(text));
}

void ox__op_id(struct ox__op *op, const char *name, const char *id)
{
    const char *nul = strstr(id, "\xc0\x80");
    if (nul == NULL) {
        ox__op_text(op, name, id);
        return;
    }
    struct ox__buf bytes = { 0 };
    for (; nul != NULL; id = nul + 2, nul = strstr(id, "\xc0\x80")) {
        ox__buf_put(&bytes, id, (size_t)(nul - id));
        ox__buf_char(&bytes, '\0');
    }
    ox__buf_text(&bytes, id);
    op->bytes.failed = op->bytes.failed || bytes.failed;
    ox__op_bytes(op, name, bytes.data, bytes.len);
    ox__buf_done(&bytes);
}

void ox__op_int(struct ox__op *op, const char *name, int64_t value)
{
    char text[21];
    ox__op_bytes(op, name, text, ox__int_text(text, value));
}

static size_t write_head(char *out, size_t argc)
{
    size_t len = 0;
    out[len++] = '*';
    len += ox__int_text(out + len, (int64_t)argc);
    out[len++] = '\r';
    out[len++] = '\n';
    return len;
}

void ox__op_name(const struct ox__op *op, char *out, size_t size)
{
    const char *at = op->bytes.data, *end = at != NULL ? at + op->bytes.len : NULL;
    if (op->script != NULL || end == NULL || at + OX__OP_HEAD >= end) {
        snprintf(out, size, "%s", op->script != NULL ? op->script->name : "");
        return;
    }
    at =
        memchr(at + OX__OP_HEAD, '\n', (size_t)(end - at - OX__OP_HEAD)); /* "$4\r\nPING\r\n" */
    const char *stop = at != NULL ? memchr(at, '\r', (size_t)(end - at)) : NULL;
    snprintf(
        out, size, "%.*s", stop != NULL ? (int)(stop - at - 1) : 0, stop != NULL ? at + 1 : "");
}

/* An argument, which stands at `at` as "$4\r\nPING\r\n"; `len` gets its length. */
static const char *argument_at(const struct ox__op *op, size_t at, int *len)
{
    const char *end;
    *len = (int)strtol(op->bytes.data + at + 1, (char **)&end, 10);
    return end + 2;
}

int ox__op_check(const struct ox__op *op, const redisReply *reply, ox_error *err)
{
    static const char code[] = "WRONGTYPE ";
    if (reply->type != REDIS_REPLY_ERROR || op->keys == 0 || op->bytes.failed ||
        strncmp(reply->str, code, strlen(code)) != 0) {
        return ox__reply_check(reply, err);
    }
    int len, len2 = 0;
    const char *key = argument_at(op, op->key_at[0], &len), *key2 = "";
    if (op->keys > 1) {
        key2 = argument_at(op, op->key_at[1], &len2);
    }
    return ox__fail(err, OX_ESERVER, "Redis: %s%.*s%s%.*s: %s", code, len, key,
        op->keys > 1 ? " or " : "", len2, key2, reply->str + strlen(code));
}

int ox__op_seal(struct ox__op *op, ox_error *err)
{
    assert(op->script == NULL || op->named == op->script->arg_count);
    if (op->bytes.failed) {
        return ox__fail(err, OX_ENOMEM, "out of memory, or the command is too large");
    }
    if (op->commands > 0) {
        return 0; /* its commands have their heads */
    }
    char head[32];
    size_t len = write_head(head, op->argc);
    assert(len <= OX__OP_HEAD);
    op->start = OX__OP_HEAD - len;
    memcpy(op->bytes.data + op->start, head, len);
    return 0;
}

/* Appends a command of one word. */
static void add_word(struct ox__op *op, const char *word)
{
    ox__buf_text(&op->bytes, word);
    op->commands++;
}

void ox__op_transaction(struct ox__op *op)
{
    begin(op, NULL);
    op->bytes.len = op->start = 0;
    add_word(op, "*1\r\n$5\r\nMULTI\r\n");
}

int ox__op_add(struct ox__op *op, struct ox__op *command, bool source, ox_error *err)
{
    char head[OX__WIRE_HEAD];
    struct ox__op_wire wire;
    int rc = ox__op_seal(command, err);
    if (rc < 0) {
        return rc;
    }
    ox__op_wire(command, source, head, &wire);
    for (int i = 0; i < wire.count; i++) {
        ox__buf_put(&op->bytes, wire.piece[i], wire.len[i]);
    }
    op->commands++;
    return 0;
}

void ox__op_exec(struct ox__op *op)
{
    add_word(op, "*1\r\n$4\r\nEXEC\r\n");
}

void ox__op_wire(
    const struct ox__op *op, bool source, char head[OX__WIRE_HEAD], struct ox__op_wire *wire)
{
    if (!source) {
        wire->count = 1;
        wire->piece[0] = op->bytes.data + op->start;
        wire->len[0] = op->bytes.len - op->start;
        return;
    }
    size_t rest = OX__OP_HEAD + OX__OP_EVALSHA;
    size_t len = write_head(head, op->argc);
    len += (size_t)snprintf(
        head + len, OX__WIRE_HEAD - len, "$4\r\nEVAL\r\n$%zu\r\n", op->script->len);
    wire->count = 3;
    wire->piece[0] = head;
    wire->len[0] = len;
    wire->piece[1] = op->script->source;
    wire->len[1] = op->script->len;
    /* The source has no line end of its own in RESP: the one behind the SHA-1 serves. */
    wire->piece[2] = op->bytes.data + rest - 2;
    wire->len[2] = op->bytes.len - rest + 2;
}
