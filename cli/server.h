/*
 * server.h - opens the connection and the queue of a verb.
 */
#ifndef OX_CLI_SERVER_H
#define OX_CLI_SERVER_H

#include "cmd.h"

/* Connects, once a run, to --redis, else OX_REDIS_URL, else REDIS_URL (an empty variable counts
 * as none), else the default; run->client is the connection. Returns an enum status; reports
 * failures. */
int server_client(struct run *run);
/* The variable of the environment that names the server, or NULL when none does. */
const char *server_variable(const struct run *run);
/* Connects and makes a queue, freed by the caller. A bad name is reported without connecting.
 */
int server_queue(struct run *run, const char *name, ox_queue **out);
/* Connects and makes a stream, freed by the caller. `source`: of its events, or NULL. */
int server_stream(struct run *run, const char *name, const char *source, ox_stream **out);
/* The option row of verbs on streams; `type` has a text `stream`. */
#define STREAM_ROW(type)                                                                       \
    {                                                                                          \
        .name = "stream", .kind = OPT_TEXT, .offset = offsetof(type, stream),                  \
        .standard = "events", .arg = "NAME", .help = "the stream"                              \
    }
/* Options of the command line for every queue. */
ox_queue_options server_queue_options(const struct run *run);

/* Reports a queue that does not exist and returns STATUS_NOT_FOUND. `counts` are the queue's,
 * or NULL. */
int server_check_queue(struct run *run, ox_queue *queue, const ox_counts *counts);
/* For verbs that change settings: allowed before the first job, but usually the name was
 * mistyped, so a note is printed. Returns an enum status. */
int server_note_new(struct run *run, ox_queue *queue);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ox_queue, ox_queue_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ox_stream, ox_stream_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ox_tail, ox_tail_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ox_job, ox_job_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ox_events, ox_events_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ox_adder, ox_adder_free)

static inline void server_free_text(char **text)
{
    ox_free(*text);
}
/* A string of the library's that frees itself. */
#define OX_AUTOFREE __attribute__((cleanup(server_free_text)))

static inline void server_free_list(void *list)
{
    ox_list_free(*(void **)list);
}
/* The same for a list. */
#define OX_AUTOLIST __attribute__((cleanup(server_free_list)))

#endif /* OX_CLI_SERVER_H */
