/*
 * queues.c - see queues.h.
 */
#include "queues.h"

#include <string.h>

#include "log.h"

static struct consumer *consumer_at(const struct queues *queues, guint index)
{
    return g_ptr_array_index(queues->consumers, index);
}

void queues_init(
    struct queues *queues, uv_loop_t *loop, const struct consumer_hooks *hooks, void *owner)
{
    *queues = (struct queues){
        .loop = loop, .hooks = hooks, .owner = owner, .consumers = g_ptr_array_new()
    };
}

void queues_done(struct queues *queues)
{
    g_ptr_array_free(queues->consumers, TRUE);
    if (queues->settings != NULL) {
        settings_unref(queues->settings);
    }
}

/* ---- Settings ---------------------------------------------------------------------------- */

/* The one that works on a queue and is not about to stop that. */
static struct consumer *find_consumer(
    const struct queues *queues, const struct queue_settings *queue)
{
    for (guint i = 0; i < queues->consumers->len; i++) {
        struct consumer *consumer = consumer_at(queues, i);
        const struct queue_settings *own = consumer_queue(consumer);
        if (!consumer_is_closing(consumer) && strcmp(own->queue, queue->queue) == 0 &&
            g_strcmp0(own->group, queue->group) == 0) {
            return consumer;
        }
    }
    return NULL;
}

static int add_consumer(
    struct queues *queues, ox_client *client, const struct queue_settings *queue, ox_error *err)
{
    struct consumer *consumer = NULL;
    int status = consumer_new(&consumer, queues->loop, client, queues->settings, queue,
        queues->hooks, queues->owner, err);
    g_ptr_array_add(queues->consumers, consumer);
    consumer_hold(consumer, queues->held);
    return status;
}

/* The client connects when somebody asks it, so the loop does not wait; the workers wait for a
 * server that is away, and what is wrong for good, such as the password, their first try tells.
 */
static int add_consumers(struct queues *queues, ox_error *err)
{
    const struct settings *settings = queues->settings;
    ox_client_options options = { .url = settings->redis, .connect_later = true };
    ox_client *client = NULL;
    ox__tls_use(&settings->tls, &options);
    int status = ox_client_new(&client, &options, err);
    for (size_t i = 0; client != NULL && i < settings->queue_count; i++) {
        const struct queue_settings *queue = &settings->queues[i];
        if (find_consumer(queues, queue) == NULL) {
            int added = add_consumer(queues, client, queue, err);
            status = added < 0 ? added : status;
        }
    }
    ox_client_free(client);
    return status;
}

static void change_consumers(struct queues *queues)
{
    for (guint i = 0; i < queues->consumers->len; i++) {
        struct consumer *consumer = consumer_at(queues, i);
        if (consumer_is_closing(consumer)) {
            continue;
        }
        const struct queue_settings *queue = consumer_queue(consumer);
        const struct queue_settings *now =
            settings_queue(queues->settings, queue->queue, queue->group);
        if (now != NULL && consumer_fits(consumer, now)) {
            consumer_use(consumer, queues->settings);
            continue;
        }
        log_begin(LOG_INFO, now != NULL            ? "stream-changed"
                            : queue->group != NULL ? "stream-removed"
                                                   : "queue-removed");
        log_place(&queue->routes[0].place);
        log_number("running", consumer_running(consumer));
        log_end();
        consumer_drain(consumer);
    }
}

int queues_use(struct queues *queues, struct settings *settings, ox_error *err)
{
    struct settings *before = queues->settings;
    queues->settings = settings_ref(settings);
    change_consumers(queues);
    int status = add_consumers(queues, err);
    if (before != NULL) {
        settings_unref(before);
    }
    return status;
}

/* ---- All of them ------------------------------------------------------------------------- */

uint32_t queues_forget(struct queues *queues, struct consumer *consumer)
{
    g_ptr_array_remove(queues->consumers, consumer);
    return queues->consumers->len;
}

void queues_hold(struct queues *queues, bool hold)
{
    queues->held = hold;
    for (guint i = 0; i < queues->consumers->len; i++) {
        consumer_hold(consumer_at(queues, i), hold);
    }
}

void queues_drain(struct queues *queues)
{
    for (guint i = 0; i < queues->consumers->len; i++) {
        if (!consumer_is_closing(consumer_at(queues, i))) {
            consumer_drain(consumer_at(queues, i));
        }
    }
}

void queues_give_back(struct queues *queues)
{
    for (guint i = 0; i < queues->consumers->len; i++) {
        consumer_give_back(consumer_at(queues, i));
    }
}

void queues_abort(struct queues *queues)
{
    for (guint i = 0; i < queues->consumers->len; i++) {
        consumer_abort(consumer_at(queues, i));
    }
}

bool queues_have_workers(const struct queues *queues)
{
    for (guint i = 0; i < queues->consumers->len; i++) {
        if (consumer_has_worker(consumer_at(queues, i))) {
            return true;
        }
    }
    return false;
}

static uint32_t count_connected(const struct queues *queues)
{
    uint32_t count = 0;
    for (guint i = 0; i < queues->consumers->len; i++) {
        count += consumer_is_connected(consumer_at(queues, i));
    }
    return count;
}

bool queues_any_connected(const struct queues *queues)
{
    return count_connected(queues) > 0;
}

bool queues_all_connected(const struct queues *queues)
{
    return count_connected(queues) == queues->consumers->len;
}

uint32_t queues_running(const struct queues *queues)
{
    uint32_t running = 0;
    for (guint i = 0; i < queues->consumers->len; i++) {
        running += consumer_running(consumer_at(queues, i));
    }
    return running;
}

uint32_t queues_open_runs(const struct queues *queues)
{
    uint32_t runs = 0;
    for (guint i = 0; i < queues->consumers->len; i++) {
        runs += consumer_open_runs(consumer_at(queues, i));
    }
    return runs;
}
