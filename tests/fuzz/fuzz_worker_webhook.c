/*
 * fuzz_worker_webhook.c - what a server answers to the webhook handler: status, headers, body.
 *
 * Input: a byte for the size of the pieces in which it comes, then all that the server says. A
 * thread is the server, on an address of this machine that no other can reach; redirects are
 * not followed, so that nothing leaves it. A wait that was asked for is within its bound.
 */
#include "fuzz_handler.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/handlers/webhook.h"

#define MAX_WAIT_MS 5000

static struct {
    int listener;
    pthread_mutex_t answering;
    const uint8_t *bytes; /* of this input */
    size_t size, step;
} server = { .answering = PTHREAD_MUTEX_INITIALIZER };

/* The request ends in its body, "{}". */
static void read_request(int fd)
{
    char bytes[4096];
    size_t used = 0;
    ssize_t got = 1;
    while (got > 0 && (used < 2 || memcmp(bytes + used - 2, "{}", 2) != 0)) {
        got = read(fd, bytes + used, sizeof bytes - used);
        used += got > 0 ? (size_t)got : 0;
    }
}

static void *serve(void *arg)
{
    const int on = 1;
    (void)arg;
    for (;;) {
        int fd = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
        expect(fd >= 0);
        pthread_mutex_lock(&server.answering);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        read_request(fd);
        for (size_t at = 0, count; at < server.size; at += count) {
            count = MIN(server.step, server.size - at);
            if (send(fd, server.bytes + at, count, MSG_NOSIGNAL) < 0) {
                break;
            }
        }
        close(fd);
        pthread_mutex_unlock(&server.answering);
    }
    return NULL;
}

/* The port. */
static int start_server(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
        .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof address;
    pthread_t thread;
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(bind(server.listener, (const struct sockaddr *)&address, size) == 0);
    expect(listen(server.listener, 8) == 0);
    expect(getsockname(server.listener, (struct sockaddr *)&address, &size) == 0);
    expect(pthread_create(&thread, NULL, serve, NULL) == 0);
    pthread_detach(thread);
    return ntohs(address.sin_port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char url[64], body[] = "--body=data", allow[] = "--allow=127.0.0.1",
                         wait[] = "--max-retry-after=5s", most[] = "--max-response=1K";
    static struct handler_config config;
    static const struct handler_job job = { .queue = "q",
        .id = "7",
        .name = "n",
        .data = "{}",
        .name_len = 1,
        .data_len = 2,
        .attempt = 1 };
    if (config.options == NULL) {
        snprintf(url, sizeof url, "http://127.0.0.1:%d/hook", start_server());
        config = fuzz_start(
            &webhook_handler, url, (char *[]){ body, body, allow, wait, most, NULL });
    }
    if (size < 1) {
        return 0;
    }
    pthread_mutex_lock(&server.answering);
    server.bytes = data + 1;
    server.size = size - 1;
    server.step = (size_t)data[0] * 8 + 1;
    pthread_mutex_unlock(&server.answering);
    enum handler_result result = fuzz_run(&webhook_handler, &config, &job);
    pthread_mutex_lock(&server.answering); /* it may not have said all yet */
    server.size = 0;
    pthread_mutex_unlock(&server.answering);
    expect(fuzz_retry_after_ms < 0 || result == HANDLER_RETRY);
    expect(fuzz_retry_after_ms <= MAX_WAIT_MS);
    return 0;
}
