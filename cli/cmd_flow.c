/*
 * cmd_flow.c - ox flow: a tree of jobs, as BullMQ's FlowProducer takes it.
 *
 * Nodes that name no queue go to QUEUE. That is filled in here, in the tree; everything else
 * of it is the library's to check.
 */
#include "data.h"
#include "json.h"
#include "server.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* A tree deeper than this is refused by jansson before it gets here. */
static void fill_queue(json_t *node, const char *queue)
{
    if (json_is_array(node)) {
        size_t index;
        json_t *item;
        json_array_foreach (node, index, item)
            fill_queue(item, queue);
        return;
    }
    if (!json_is_object(node))
        return;
    if (!json_object_get(node, "queueName"))
        json_object_set_new(node, "queueName", json_string(queue));
    fill_queue(json_object_get(node, "children"), queue);
}

static char *read_flow(struct run *run, const char *queue, int *status)
{
    GString *text = NULL;
    *status = data_read_file(run, run->args[1], &text);
    if (*status)
        return NULL;
    json_error_t problem;
    json_t *flow = json_loadb(text->str, text->len, JSON_REJECT_DUPLICATES, &problem);
    g_string_free(text, TRUE);
    if (!flow) {
        *status = complain_usage(run, "the flow is not JSON: %s (line %d, column %d)",
            problem.text, problem.line, problem.column);
        return NULL;
    }
    fill_queue(flow, queue);
    char *json = json_dumps(flow, JSON_COMPACT);
    json_decref(flow);
    return json;
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
    char *json = read_flow(run, run->args[0], &status);
    if (!status)
        status = add(run, json);
    free(json);
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
