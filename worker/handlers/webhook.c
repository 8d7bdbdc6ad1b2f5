/*
 * webhook.c - the webhook handler: a job is sent to a URL by POST, signed as Standard Webhooks
 * has it, and the answer is what becomes of the job. docs/webhook.md says what a receiver gets.
 *
 * The message of a job is the same at each attempt, but for the time of sending, the signature
 * over it and the number of the attempt. So a receiver knows it again by its id.
 */
#include "webhook.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "base/units.h"
#include "frame.h"
#include "sandbox.h"

#define LINE_MAX_BYTES 500 /* of an answer, in the reason of a failure */
#define MARGIN_MS 500      /* before the job's timeout, to tell what happened */
#define SECRET_VARIABLE "WEBHOOK_SECRET"

/* One child sends to one place. */
static struct {
    struct webhook_options options; /* with what the files held that it names */
    char *url;
    GPtrArray *headers; /* of --headers */
    struct webhook_secrets secrets;
    struct webhook_guard guard;
    struct webhook_sender *sender;
} hook;

/* ---- the message ------------------------------------------------------------------------- */

/* Appends text as a header may hold it and any receiver takes it: what is neither a letter, a
 * digit nor in `also` becomes %XX. */
static void put_encoded(GString *out, const char *text, size_t length, const char *also)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (g_ascii_isalnum(c) || (c != '\0' && strchr(also, c) != NULL)) {
            g_string_append_c(out, c);
        } else {
            g_string_append_printf(out, "%%%02X", (unsigned char)c);
        }
    }
}

/* QUEUE:ID, without dots, which part the text that is signed. Of a batch STREAM:GROUP:SHA-1,
 * because the next attempt, or another worker, may have other events with the same first one.
 */
static char *message_id(const struct handler_job *job)
{
    GString *id = g_string_new(NULL);
    put_encoded(id, job->queue, strlen(job->queue), "-_");
    g_string_append_c(id, ':');
    if (job->events > 0) {
        g_autofree char *digest = g_compute_checksum_for_data(
            G_CHECKSUM_SHA1, (const guchar *)job->data, job->data_len);
        g_string_append_printf(id, "%s:%s", job->name, digest);
    } else {
        put_encoded(id, job->id, strlen(job->id), "-_");
    }
    return g_string_free(id, FALSE);
}

/* False when memory is out. */
static bool make_body(const struct handler_job *job, struct ox__buf *body)
{
    ox__buf_text(body, "{\"type\":");
    ox__json_string(body, job->name, job->name_len);
    if (job->timestamp_ms > 0) {
        g_autoptr(GDateTime) when = g_date_time_new_from_unix_utc(job->timestamp_ms / 1000);
        g_autofree char *text =
            when != NULL ? g_date_time_format(when, "%Y-%m-%dT%H:%M:%S") : NULL;
        if (text != NULL) {
            char rest[16];
            snprintf(rest, sizeof rest, ".%03dZ", (int)(job->timestamp_ms % 1000));
            ox__buf_text(body, ",\"timestamp\":\"");
            ox__buf_text(body, text);
            ox__buf_text(body, rest);
            ox__buf_char(body, '"');
        }
    }
    ox__buf_text(body, ",\"data\":");
    ox__buf_put(body, job->data, job->data_len);
    ox__buf_char(body, '}');
    return !body->failed;
}

static void add_header(struct webhook_message *message, const char *name, const char *value)
{
    g_ptr_array_add(message->headers, g_strdup_printf("%s: %s", name, value));
}

static void add_encoded_header(
    struct webhook_message *message, const char *name, const char *value, size_t length)
{
    g_autoptr(GString) text = g_string_new(NULL);
    put_encoded(text, value, length, "-_.~:/@+");
    add_header(message, name, text->str);
}

/* Behind the public ones stand those for the operator's own host. */
static void add_headers(struct webhook_message *message, const struct handler_job *job)
{
    int64_t now_s = g_get_real_time() / G_USEC_PER_SEC;
    g_autofree char *id = message_id(job);
    g_autofree char *timestamp = g_strdup_printf("%" PRId64, now_s);
    g_autofree char *attempt = g_strdup_printf("%" PRIu32, job->attempt);
    add_header(message, "content-type",
        job->events > 0 ? "application/cloudevents-batch+json" : "application/json");
    add_header(message, "webhook-id", id);
    add_header(message, "webhook-timestamp", timestamp);
    if (job->events > 0) {
        g_autofree char *events = g_strdup_printf("%zu", job->events);
        add_encoded_header(message, "ox-stream", job->queue, strlen(job->queue));
        add_encoded_header(message, "ox-group", job->name, job->name_len);
        add_header(message, "ox-events", events);
    } else {
        add_encoded_header(message, "ox-queue", job->queue, strlen(job->queue));
        add_encoded_header(message, "ox-job-id", job->id, strlen(job->id));
        add_encoded_header(message, "ox-job-name", job->name, job->name_len);
    }
    add_header(message, "ox-attempt", attempt);
    message->public_headers = message->headers->len;
    if (hook.secrets.keys->len > 0) {
        g_autofree char *signature =
            webhook_sign(&hook.secrets, id, now_s, message->body, message->length);
        add_header(message, "webhook-signature", signature);
    }
    for (guint i = 0; i < hook.headers->len; i++) {
        g_ptr_array_add(message->headers, g_strdup(hook.headers->pdata[i]));
    }
}

/* When to give up: before the parent kills the run, so that it can still be told. */
static int64_t give_up_us(const struct handler_job *job)
{
    int64_t left_ms = hook.options.request_timeout_ms;
    if (job->deadline_ms > 0) {
        int64_t run_ms = job->deadline_ms - g_get_real_time() / 1000;
        left_ms = MIN(left_ms, run_ms - MIN(MARGIN_MS, run_ms / 4));
    }
    return g_get_monotonic_time() + MAX(left_ms, 1) * 1000;
}

/* ---- the answer -------------------------------------------------------------------------- */

/* Its first line that has something in it, harmless and short. Heap. */
static char *first_line(const GString *body)
{
    const char *line = body->str + strspn(body->str, " \t\r\n");
    g_autofree char *cut = g_strndup(line, strcspn(line, "\r\n"));
    cut[ox__utf8_truncate(cut, LINE_MAX_BYTES)] = '\0';
    return ox__text_clean(g_strchomp(cut), "");
}

static void put_status(const struct webhook_reply *reply, GString *out)
{
    g_autofree char *line = first_line(reply->body);
    g_string_append_printf(out, "HTTP %ld", reply->status);
    if (reply->redirect != NULL) {
        g_string_append_printf(out, ": redirect to %s not followed", reply->redirect);
    } else if (*line != '\0') {
        g_string_append_printf(out, ": %s", line);
    }
}

/* JSON as it is, anything else as a string; null when there is nothing. */
static enum handler_result take_value(
    const struct webhook_reply *reply, const struct handler_io *io, GString *out)
{
    const GString *body = reply->body;
    char limit[24];
    if (reply->too_large) {
        g_string_printf(out, "bad output: the response has more than %s (--max-response)",
            ox__bytes_text(hook.options.max_response, limit));
        io->failure(io->arg, FAILURE_BAD_OUTPUT);
        return HANDLER_FATAL;
    }
    if (reply->undecoded) {
        g_string_assign(out, "bad output: the response's content-encoding cannot be decoded; "
                             "send gzip, deflate or none");
        io->failure(io->arg, FAILURE_BAD_OUTPUT);
        return HANDLER_FATAL;
    }
    if (body->len == 0) {
        return HANDLER_DONE;
    }
    if (ox__json_valid(body->str, body->len)) {
        g_string_append_len(out, body->str, (gssize)body->len);
        return HANDLER_DONE;
    }
    struct ox__buf text = { 0 };
    ox__json_string(&text, body->str, body->len);
    bool fits = !text.failed && text.len < FRAME_RESULT_MAX;
    if (fits) {
        g_string_append_len(out, text.data, (gssize)text.len);
    } else {
        g_string_assign(out, "bad output: the response has more than 16M as JSON");
        io->failure(io->arg, FAILURE_BAD_OUTPUT);
    }
    ox__buf_done(&text);
    return fits ? HANDLER_DONE : HANDLER_FATAL;
}

/* Another try may find what this one did not: a server that is well, has time, or is there
 * again. What the server blames on the request is not tried again, but for two that mean no
 * more than "too late" (408) and "too early" (425). */
static bool is_worth_another_try(long status)
{
    return status < 400 || status >= 500 || status == 408 || status == 425 || status == 429;
}

static enum handler_result judge(
    const struct webhook_reply *reply, const struct handler_io *io, GString *out)
{
    if (reply->status >= 200 && reply->status < 300) {
        return take_value(reply, io, out);
    }
    put_status(reply, out);
    if (!is_worth_another_try(reply->status)) {
        return HANDLER_FATAL;
    }
    if (reply->retry_after_ms > 0) {
        io->retry_after(io->arg, MIN(reply->retry_after_ms, hook.options.max_retry_after_ms));
    }
    return HANDLER_RETRY;
}

/* ---- handler ----------------------------------------------------------------------------- */

static enum handler_result send_message(struct webhook_message *message,
    const struct handler_job *job, const struct handler_io *io, GString *out)
{
    struct webhook_reply reply;
    enum handler_result result;
    message->url = hook.url;
    message->until_us = give_up_us(job);
    message->headers = g_ptr_array_new_with_free_func(g_free);
    add_headers(message, job);
    enum webhook_end end = webhook_send(hook.sender, message, &reply, out);
    if (end == WEBHOOK_ANSWERED) {
        result = judge(&reply, io, out);
    } else {
        result = end == WEBHOOK_REFUSED ? HANDLER_FATAL : HANDLER_RETRY;
    }
    webhook_reply_done(&reply);
    g_ptr_array_unref(message->headers);
    return result;
}

static enum handler_result run(const struct handler_job *job,
    const struct handler_config *config, const struct handler_io *io, GString *out)
{
    struct ox__buf body = { 0 };
    struct webhook_message message = { .body = job->data, .length = job->data_len };
    char limit[24];
    (void)config;
    if (job->events == 0 && hook.options.body == WEBHOOK_BODY_STANDARD &&
        (int64_t)job->data_len <= hook.options.max_request) {
        if (!make_body(job, &body)) {
            ox__buf_done(&body);
            g_string_assign(out, "webhook: out of memory");
            return HANDLER_RETRY;
        }
        message.body = body.data;
        message.length = body.len;
    }
    enum handler_result result = HANDLER_FATAL;
    if ((int64_t)message.length <= hook.options.max_request) {
        result = send_message(&message, job, io, out);
    } else {
        g_string_printf(out, "webhook: the request would have more than %s (--max-request)",
            ox__bytes_text(hook.options.max_request, limit));
    }
    ox__buf_done(&body);
    return result;
}

/* Text itself, or from "@FILE". Heap. */
static bool take_text(const char *name, const char *given, char **text, char **problem)
{
    if (*given == '@') {
        return webhook_read_file(name, given, text, problem);
    }
    *text = g_strdup(given);
    return true;
}

static bool read_url(const struct handler_config *config, char **problem)
{
    const char *given = config->arg != NULL ? config->arg : hook.options.url;
    if (given == NULL || *given == '\0') {
        *problem =
            g_strdup("webhook needs a URL: QUEUE=webhook:https://HOST/PATH, or --url URL");
        return false;
    }
    return take_text("url", given, &hook.url, problem) &&
           webhook_check_url(hook.url, &hook.options, &hook.guard, problem);
}

/* A text in the environment may itself name a file. */
static bool read_secrets(char **problem)
{
    const char *option = hook.options.secret, *variable = g_getenv(SECRET_VARIABLE);
    g_autofree char *text = NULL, *why = NULL;
    bool read = true;
    if (option != NULL) {
        read = webhook_read_file("secret", option, &text, problem);
    } else if (variable != NULL && *variable != '\0') {
        read = take_text("secret", variable, &text, problem);
    }
    if (!read) {
        return false;
    }
    if (!webhook_secrets_read(&hook.secrets, text, &why)) {
        *problem =
            g_strdup_printf("%s: %s", option != NULL ? "--secret" : SECRET_VARIABLE, why);
        return false;
    }
    g_unsetenv(SECRET_VARIABLE);
    return true;
}

/* "Name: value", and not one that the message has of its own. */
static bool check_header(const char *line)
{
    static const char *const own[] = { "host", "content-type", "content-length",
        "transfer-encoding", "connection", "expect" };
    static const char letters[] = G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "!#$%&'*+-.^_`|~";
    size_t length = strspn(line, letters);
    g_autofree char *name = g_ascii_strdown(line, (gssize)length);
    bool good = length > 0 && line[length] == ':' && !g_str_has_prefix(name, "webhook-") &&
                !g_str_has_prefix(name, "ox-");
    for (size_t i = 0; good && i < G_N_ELEMENTS(own); i++) {
        good = strcmp(name, own[i]) != 0;
    }
    for (const char *c = line + length; good && *c != '\0'; c++) {
        good = *c == '\t' || !g_ascii_iscntrl(*c);
    }
    return good;
}

static bool read_headers(char **problem)
{
    g_autofree char *text = NULL;
    hook.headers = g_ptr_array_new_with_free_func(g_free);
    if (hook.options.headers == NULL) {
        return true;
    }
    if (!webhook_read_file("headers", hook.options.headers, &text, problem)) {
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i] != NULL; i++) {
        g_strstrip(lines[i]);
        if (*lines[i] == '\0') {
            continue;
        }
        if (!check_header(lines[i])) {
            *problem =
                g_strdup_printf("--headers: line %u is not NAME: VALUE, or a header that "
                                "is set already",
                    i + 1);
            return false;
        }
        g_ptr_array_add(hook.headers, g_strdup(lines[i]));
    }
    return true;
}

static bool check_file(const char *name, const char *path, char **problem)
{
    if (path == NULL || access(path, R_OK) == 0) {
        return true;
    }
    *problem = g_strdup_printf("--%s: %s: %s", name, path, g_strerror(errno));
    return false;
}

static bool read_files(char **problem)
{
    const struct webhook_options *options = &hook.options;
    char *proxy = NULL;
    if (options->key != NULL && options->cert == NULL) {
        *problem = g_strdup("--key is the key of --cert, which is missing");
        return false;
    }
    if (options->proxy != NULL && !take_text("proxy", options->proxy, &proxy, problem)) {
        return false;
    }
    hook.options.proxy = proxy;
    return check_file("ca", options->ca, problem) &&
           check_file("cert", options->cert, problem) &&
           check_file("key", options->key, problem) && read_headers(problem);
}

static void add_path(GPtrArray *paths, const char *path)
{
    if (path != NULL && *path != '\0') {
        g_ptr_array_add(paths, (gpointer)(uintptr_t)path);
    }
}

static void add_named_file(GPtrArray *paths, const char *given)
{
    if (given != NULL && *given == '@') {
        add_path(paths, given + 1);
    }
}

/* Connections out, and the files that its options name: libcurl reads those of TLS for each
 * connection. */
static void needs(const struct handler_config *config, struct sandbox_needs *out)
{
    static GPtrArray *reads, *first_reads; /* live as long as the process */
    const struct webhook_options *options = config->options;
    g_clear_pointer(&reads, g_ptr_array_unref);
    g_clear_pointer(&first_reads, g_ptr_array_unref);
    reads = g_ptr_array_new();
    first_reads = g_ptr_array_new();
    add_path(reads, options->ca);
    add_path(reads, options->cert);
    add_path(reads, options->key);
    add_named_file(first_reads, config->arg != NULL ? config->arg : options->url);
    add_named_file(
        first_reads, options->secret != NULL ? options->secret : g_getenv(SECRET_VARIABLE));
    add_named_file(first_reads, options->headers);
    add_named_file(first_reads, options->proxy);
    add_path(first_reads, g_getenv("OPENSSL_CONF"));
    g_ptr_array_add(reads, NULL);
    g_ptr_array_add(first_reads, NULL);
    *out = (struct sandbox_needs){ .confined = true,
        .connects = true,
        .reads = (const char *const *)reads->pdata,
        .first_reads = (const char *const *)first_reads->pdata };
}

static bool init(const struct handler_config *config, bool check_only, char **problem)
{
    hook.options = *(const struct webhook_options *)config->options;
    if (!webhook_guard_read(&hook.guard, hook.options.allow, problem) || !read_files(problem) ||
        !read_url(config, problem) || !read_secrets(problem)) {
        return false;
    }
    if (check_only) {
        return true;
    }
    hook.sender = webhook_sender_new(&hook.options, &hook.guard, problem);
    return hook.sender != NULL;
}

/* Connections end as their servers like it: said, and not cut. */
static void done(void)
{
    webhook_sender_free(hook.sender);
    hook.sender = NULL;
}

static const struct handler_secret secrets[] = { { SECRET_VARIABLE, "secret" }, { 0 } };

const struct handler webhook_handler = {
    .name = "webhook",
    .runs = HANDLER_RUNS_BOTH,
    .summary = "send jobs to a URL by POST, signed as Standard Webhooks are",
    .argument = "URL",
    .opts = webhook_rows,
    .options_size = sizeof(struct webhook_options),
    .secrets = secrets,
    .needs = needs,
    .init = init,
    .run = run,
    .done = done,
};
