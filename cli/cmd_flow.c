/*
 * cmd_flow.c - ox flow: a tree of jobs, as BullMQ's FlowProducer takes it.
 *
 * Nodes that name no queue go to QUEUE. That is filled into the text, so that the data of the
 * jobs stays byte for byte; everything else of the tree is the library's to check.
 */
#include "data.h"
#include "flowtext.h"
#include "json.h"
#include "server.h"
#include <stdio.h>

static char *read_flow(struct run *run, const char *queue, int *status)
{
    GString *text = NULL;
    *status = data_read_file(run, run->args[1], &text);
    if (*status)
        return NULL;
    g_autofree char *problem = NULL;
    char *filled = NULL;
    if (json_valid(text->str, text->len, &problem))
        filled = flow_with_queue(text->str, queue);
    else
        *status = complain_usage(run, "the flow is not JSON: %s", problem);
    g_string_free(text, TRUE);
    return filled;
}

static int add(struct run *run, const char *json)
{
    /* Made for its check of the name alone. */
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status)
        return status;
    OX_AUTOFREE char *id = NULL;
    ox_error err = { 0 };
    if (ox_flow_add(run->client, run->prefix, json, &id, &err) < 0)
        return complain_error(run, &err);
    if (!run->json) {
        puts(id);
        return STATUS_DONE;
    }
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "id", id);
    obj_print(&obj);
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    int status;
    g_autofree char *json = read_flow(run, run->args[0], &status);
    if (!status)
        status = add(run, json);
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
        "go to QUEUE. Prints the id of the (first) root.",
    .example = "  ox flow albums album.json\n"
               "  echo '{\"name\":\"album\",\"children\":[{\"name\":\"photo\","
               "\"queueName\":\"images\"}]}' | ox flow albums",
    .min_args = 1,
    .max_args = 2,
    .exec = exec,
};
