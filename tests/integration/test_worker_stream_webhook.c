/*
 * test_worker_stream_webhook.c - batches of events by POST, to a server that notes what it gets
 * and names events that failed.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/files.h"
#include "../support/jobs.h"
#include "../support/worker.h"

/* Prints its port, then for each request a line: the number of events, the header that says so,
 * the type of the body, whether it is signed, and the id without its digest. Events whose n
 * ends in 3 are named as failed; with n 77 the whole is refused. Answers are compressed. */
static const char server_code[] =
    "import gzip, http.server, json, sys\n"
    "class Hook(http.server.BaseHTTPRequestHandler):\n"
    "    protocol_version = 'HTTP/1.1'\n"
    "    def log_message(self, *words): pass\n"
    "    def do_POST(self):\n"
    "        events = json.loads(self.rfile.read(int(self.headers['content-length'])))\n"
    "        head = self.headers\n"
    "        print('got', len(events), head['ox-events'], head['content-type'],\n"
    "              head['ox-stream'], head['ox-group'], 'webhook-signature' in head,\n"
    "              len(head['webhook-id'].split(':')[2]), flush=True)\n"
    "        bad = [{'itemIdentifier': e['position']} for e in events\n"
    "               if e['data']['n'] % 10 == 3]\n"
    "        refused = any(e['data']['n'] == 77 for e in events)\n"
    "        if not refused:\n"
    "            for e in events:\n"
    "                if e['data']['n'] % 10 != 3: print('n=%d.' % e['data']['n'], flush=True)\n"
    "        body = gzip.compress(json.dumps({'batchItemFailures': bad}).encode())\n"
    "        self.send_response(422 if refused else 200)\n"
    "        self.send_header('content-encoding', 'gzip')\n"
    "        self.send_header('content-length', str(len(body)))\n"
    "        self.end_headers()\n"
    "        self.wfile.write(body)\n"
    "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hook)\n"
    "print('port %d.' % server.server_port, flush=True)\n"
    "server.serve_forever()\n";

static ox_stream *hooks;
static ox_error err;

static bool has_port(void *arg)
{
    g_autofree char *said = test_process_out(arg);
    return strchr(said, '.') != NULL;
}

static bool is_done(void *arg)
{
    ox_group_info **groups = NULL;
    size_t count = 0;
    (void)arg;
    test_ok(ox_group_list(hooks, &groups, &count, &err), &err);
    bool done =
        count == 1 && groups[0]->lag == 0 && groups[0]->pending == 0 && groups[0]->dead == 5;
    ox_list_free(groups);
    return done;
}

static void batches_are_posted(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *folder = test_dir_new();
    g_autofree char *conf = g_build_filename(folder, "conf", NULL);
    g_autofree char *secret = g_build_filename(folder, "secret", NULL);
    test_write(secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", -1);
    struct test_process *server = test_start(TEST_WORDS("python3", "-c", server_code), NULL);
    assert_true(test_wait_for(TEST_WORKER_DEADLINE_MS, has_port, server));
    g_autofree char *said = test_process_out(server);
    int port = (int)g_ascii_strtoll(said + strlen("port "), NULL, 10);
    g_autofree char *text =
        g_strdup_printf("[stream hooks]\ngroup = g\nfrom = start\nbatch = 20\nattempts = 2\n"
                        "backoff = fixed:10ms\nrun = webhook:http://127.0.0.1:%d/hook\n"
                        "allow = 127.0.0.1\nsecret = @%s\n",
            port, secret);
    test_write(conf, text, -1);
    test_ok(ox_stream_new(&hooks, q->client, "hooks", NULL, &err), &err);
    for (int n = 41; n <= 80; n++) {
        g_autofree char *data = g_strdup_printf("{\"n\":%d}", n);
        const ox_new_event event = { .type = "click", .json = data };
        test_ok(ox_stream_publish(hooks, &event, NULL, &err), &err);
    }
    struct test_process *worker =
        test_worker_start(test_redis_url(redis), "", TEST_WORDS("--config", conf));
    if (!test_wait_for(TEST_WORKER_DEADLINE_MS, is_done, NULL)) {
        g_autofree char *log = test_process_err(worker);
        test_fatal("%s", log);
    }
    test_worker_stop(worker);
    g_autofree char *got = test_process_out(server);
    if (!strstr(got, "got 20 20 application/cloudevents-batch+json hooks g True 40\n"))
        test_fatal("%s", got);
    for (int n = 41; n <= 80; n++) {
        g_autofree char *line = g_strdup_printf("n=%d.", n);
        const char *at = strstr(got, line);
        assert_int_equal(at != NULL, n % 10 != 3 && n != 77);
        assert_null(at ? strstr(at + 1, line) : NULL);
    }
    test_process_free(worker);
    test_process_free(server);
    ox_stream_free(hooks);
    test_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(batches_are_posted, test_queue_up, test_queue_down),
    };
    return cmocka_run_group_tests_name(
        "stream, webhook", tests, test_server_up, test_server_down);
}
