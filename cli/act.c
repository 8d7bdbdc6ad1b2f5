/*
 * act.c - see act.h.
 */
#include "act.h"
#include "data.h"
#include "lines.h"
#include "server.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HELD_MAX 500 /* ids for one call */

struct acting {
    struct run *run;
    ox_queue *queue;
    const struct act *act;
    void *arg;
    GPtrArray *held; /* ids for `many` */
    int status;      /* of the first failure */
    bool lost;       /* no use to go on */
};

static void print_done(const struct acting *acting, const char *id, int result)
{
    const struct run *run = acting->run;
    const struct act *act = acting->act;
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, act->id_name, id);
        obj_bool(&obj, act->done, true);
        if (act->more != NULL) {
            act->more(&obj, result);
        }
        obj_print(&obj);
        return;
    }
    if (run->out.terminal) {
        out_say(&run->out, "%s %s", act->done, id);
    } else {
        g_autofree char *escaped = id_escape(id);
        puts(escaped);
    }
}

static void act_on(struct acting *acting, const char *id)
{
    ox_error err = { 0 };
    int code = acting->act->act(acting->queue, id, acting->arg, &err);
    if (code >= 0) {
        print_done(acting, id, code);
        return;
    }
    int status = complain_error(acting->run, &err);
    if (!acting->status) {
        acting->status = status;
    }
    acting->lost = code == OX_ELOST || code == OX_ETIMEOUT || code == OX_ECONNECT;
}

static void act_on_held(struct acting *acting)
{
    guint count = acting->held->len;
    int results[HELD_MAX] = { 0 };
    if (count > 1) {
        acting->act->many(
            acting->queue, (const char *const *)acting->held->pdata, count, results, NULL);
    }
    for (guint i = 0; i < count && !acting->lost; i++) {
        const char *id = g_ptr_array_index(acting->held, i);
        if (results[i] > 0) {
            print_done(acting, id, results[i]);
        } else {
            act_on(acting, id);
        }
    }
    g_ptr_array_set_size(acting->held, 0);
}

static void act_later(struct acting *acting, const char *id)
{
    if (acting->act->many == NULL) {
        act_on(acting, id);
        return;
    }
    g_ptr_array_add(acting->held, g_strdup(id));
    if (acting->held->len == HELD_MAX) {
        act_on_held(acting);
    }
}

static void act_on_stdin(struct acting *acting)
{
    struct lines lines;
    lines_init(&lines, STDIN_FILENO);
    char *line;
    size_t length;
    int got;
    while (!acting->lost && (got = lines_next(&lines, &line, &length)) == LINES_LINE) {
        if (memchr(line, '\0', length) != NULL) {
            complain(acting->run,
                "line %" PRIu64 " contains a NUL byte; in an id it is written \\0",
                lines.number);
            acting->status = acting->status ? acting->status : STATUS_FAILED;
            continue;
        }
        line[strcspn(line, "\t")] = '\0';
        g_autofree char *id = id_unescape(line);
        if (*id) {
            act_later(acting, id);
        }
        if (!lines_ready(&lines)) {
            act_on_held(acting);
        }
    }
    act_on_held(acting);
    if (!acting->lost && got < 0) {
        complain(acting->run, "cannot read the ids from standard input: %s",
            got == LINES_TOO_LONG ? "a line is too long" : data_read_reason(errno));
        acting->status = acting->status ? acting->status : STATUS_FAILED;
    }
    lines_done(&lines);
}

int act_on_ids(struct run *run, ox_queue *queue, const struct act *act, void *arg)
{
    struct acting acting = { .run = run,
        .queue = queue,
        .act = act,
        .arg = arg,
        .held = g_ptr_array_new_with_free_func(g_free) };
    for (char **id = run->args + 1; *id != NULL && !acting.lost; id++) {
        if (!strcmp(*id, "-")) {
            act_on_stdin(&acting);
        } else {
            act_later(&acting, *id);
        }
    }
    act_on_held(&acting);
    g_ptr_array_free(acting.held, TRUE);
    return acting.status;
}

void act_print_count(const struct run *run, const char *done, int64_t count, const char *noun)
{
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_int(&obj, done, count);
        obj_print(&obj);
    } else if (run->out.terminal) {
        g_autofree char *number = number_grouped(count);
        printf("%s %s %s%s\n", done, number, noun, count == 1 ? "" : "s");
    } else {
        printf("%" PRId64 "\n", count);
    }
}

int act_report_gone(
    const struct run *run, const char *noun, const char *done, int code, const ox_error *err)
{
    const char *name = run->args[0];
    if (code < 0) {
        return complain_error(run, err);
    }
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, noun, name);
        obj_bool(&obj, done, true);
        obj_print(&obj);
    } else if (run->out.terminal) {
        out_say(&run->out, "%s %s is gone", noun, name);
    }
    return STATUS_DONE;
}

int act_report(
    struct run *run, ox_queue *queue, const char *done, int64_t count, const ox_error *err)
{
    if (count < 0) {
        return complain_error(run, err);
    }
    int status = count ? STATUS_DONE : server_check_queue(run, queue, NULL);
    if (status) {
        return status;
    }
    act_print_count(run, done, count, "job");
    return STATUS_DONE;
}

void act_print_id(const struct run *run, const char *id)
{
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "id", id);
        obj_print(&obj);
        return;
    }
    g_autofree char *escaped = run->out.terminal ? g_strdup(id) : id_escape(id);
    out_say(&run->out, "%s", escaped);
}

void act_report_duplicate(
    const struct run *run, const char *id, int added, const char *dedup_id)
{
    if (added == OX_DUPLICATED) {
        complain(run, "not added: job %s exists already", id);
    } else if (added == OX_DEDUPLICATED) {
        complain(run, "not added: job %s holds the deduplication id%s%s", id,
            dedup_id != NULL ? " " : "", dedup_id != NULL ? dedup_id : "");
    }
}

void act_put_added(struct obj *obj, int added)
{
    if (added == OX_ADDED) {
        return;
    }
    obj_bool(obj, "added", false);
    obj_text(obj, "reason", added == OX_DUPLICATED ? "duplicated" : "deduplicated");
}
