/*
 * cmd_pause.c - ox pause and ox resume.
 */
#include "json.h"
#include "server.h"

static int report(struct run *run, bool paused)
{
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "queue", run->args[0]);
        obj_bool(&obj, "paused", paused);
        obj_print(&obj);
    } else if (run->out.terminal) {
        out_say(&run->out, "%s is %s", run->args[0], paused ? "paused" : "running");
    }
    return STATUS_DONE;
}

static int exec_pause(struct run *run)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    ox_error err = { 0 };
    if (!status) {
        status = server_note_new(run, queue);
    }
    if (!status && ox_queue_pause(queue, &err) < 0) {
        status = complain_error(run, &err);
    }
    return status ? status : report(run, true);
}

static int exec_resume(struct run *run)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    ox_error err = { 0 };
    if (!status) {
        status = server_check_queue(run, queue, NULL);
    }
    if (!status && ox_queue_resume(queue, &err) < 0) {
        status = complain_error(run, &err);
    }
    return status ? status : report(run, false);
}

const struct cmd cmd_pause = {
    .name = "pause",
    .summary = "pause a queue",
    .usage = "QUEUE",
    .help = "Pauses QUEUE for all workers: active jobs continue, no other starts until ox "
            "resume. Jobs can still be added. Where BullMQ 5.x shares the queue, every ox "
            "and ox-worker needs --legacy-pause.",
    .min_args = 1,
    .max_args = 1,
    .exec = exec_pause,
};

const struct cmd cmd_resume = {
    .name = "resume",
    .summary = "resume a paused queue",
    .usage = "QUEUE",
    .help = "Ends a pause. Jobs that BullMQ 5.x parked while the queue was paused are put back "
            "as well.",
    .min_args = 1,
    .max_args = 1,
    .exec = exec_resume,
};
