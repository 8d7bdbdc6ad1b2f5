/*
 * cmd_flow.c - ox flow: a tree of jobs, as BullMQ's FlowProducer takes it.
 *
 * The text goes to the library as it is, which checks the tree; that it is JSON at all is
 * checked here, for a message that says where it is wrong.
 */
#include "act.h"
#include "data.h"
#include "json.h"
#include "server.h"

static char *read_flow(struct run *run, int *status)
{
    GString *text = NULL;
    *status = data_read_file(run, run->args[1], &text);
    if (*status) {
        return NULL;
    }
    g_autofree char *problem = NULL;
    if (!json_valid(text->str, text->len, &problem)) {
        *status = complain_usage(run, "the flow is not JSON: %s", problem);
    }
    return g_string_free(text, *status != STATUS_DONE);
}

static int add(struct run *run, const char *json)
{
    /* Made for its check of the name alone: the flow may have no job for it. */
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    const ox_queue_options options = server_queue_options(run);
    OX_AUTOFREE char *id = NULL;
    ox_error err = { 0 };
    int added = ox_flow_add_with(run->client, &options, run->args[0], json, &id, &err);
    if (added < 0) {
        return complain_error(run, &err);
    }
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "id", id);
        act_put_added(&obj, added);
        obj_print(&obj);
    } else {
        act_print_id(run, id);
    }
    act_report_duplicate(run, id, added, NULL);
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    int status;
    g_autofree char *json = read_flow(run, &status);
    if (!status) {
        status = add(run, json);
    }
    return status;
}

const struct cmd cmd_flow = {
    .name = "flow",
    .summary = "add a tree of jobs",
    .usage = "QUEUE [FILE]",
    .help =
        "Adds a tree of jobs from FILE or standard input, all at once: a parent runs when its "
        "children are done. It is BullMQ's flow: {\"name\", \"queueName\", \"data\", "
        "\"opts\", \"children\": [..]}, or an array of such trees. Nodes without a queueName "
        "go to QUEUE. Prints the id of the (first) root. When a job with that id exists, it "
        "keeps its data and the children are added to it; standard error says so.",
    .example = "  ox flow albums album.json\n"
               "  echo '{\"name\":\"album\",\"children\":[{\"name\":\"photo\","
               "\"queueName\":\"images\"}]}' | ox flow albums",
    .min_args = 1,
    .max_args = 2,
    .exec = exec,
};
