#include "proxy.h"

#include "check.h"

#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAIRS 8

struct pair {
    int client, server; /* -1: none */
};

struct test_proxy {
    char *path, *url, *to;
    int listener, wake[2];
    GThread *thread;
    struct pair pairs[PAIRS];
    gint every, times, lost; /* atomic */
    int seen;
};

static int open_socket(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    assert_true(strlen(path) < sizeof(address->sun_path));
    memcpy(address->sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static void end(struct pair *pair)
{
    close(pair->client);
    close(pair->server);
    pair->client = pair->server = -1;
}

static void take(struct test_proxy *proxy)
{
    int client = accept(proxy->listener, NULL, NULL);
    struct sockaddr_un address;
    int server = open_socket(proxy->to, &address);
    size_t i = 0;
    while (i < PAIRS && proxy->pairs[i].client >= 0)
        i++;
    if (client < 0 || i == PAIRS ||
        connect(server, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(client);
        close(server);
        return;
    }
    proxy->pairs[i] = (struct pair){ client, server };
}

/* False at the end, or when the bytes are to be lost. */
static bool pass(struct test_proxy *proxy, int from, int to, bool replies)
{
    char bytes[65536];
    ssize_t got = read(from, bytes, sizeof(bytes));
    if (got <= 0)
        return false;
    int every = g_atomic_int_get(&proxy->every);
    if (replies && every > 0 && g_atomic_int_get(&proxy->lost) < proxy->times &&
        ++proxy->seen % every == 0) {
        g_atomic_int_inc(&proxy->lost);
        return false;
    }
    for (ssize_t done = 0, n; done < got; done += n) {
        n = send(to, bytes + done, (size_t)(got - done), MSG_NOSIGNAL);
        if (n <= 0)
            return false;
    }
    return true;
}

static gpointer run_proxy(gpointer data)
{
    struct test_proxy *proxy = data;
    for (;;) {
        struct pollfd fds[2 + 2 * PAIRS] = { { .fd = proxy->listener, .events = POLLIN },
            { .fd = proxy->wake[0], .events = POLLIN } };
        for (size_t i = 0; i < PAIRS; i++) {
            fds[2 + 2 * i] = (struct pollfd){ proxy->pairs[i].client, POLLIN, 0 };
            fds[3 + 2 * i] = (struct pollfd){ proxy->pairs[i].server, POLLIN, 0 };
        }
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
            continue;
        if (fds[1].revents)
            return NULL;
        for (size_t i = 0; i < PAIRS; i++) {
            struct pair *pair = &proxy->pairs[i];
            if ((fds[2 + 2 * i].revents && !pass(proxy, pair->client, pair->server, false)) ||
                (fds[3 + 2 * i].revents && !pass(proxy, pair->server, pair->client, true)))
                end(pair);
        }
        if (fds[0].revents)
            take(proxy);
    }
}

struct test_proxy *test_proxy_start(const struct test_redis *redis)
{
    struct test_proxy *proxy = g_new0(struct test_proxy, 1);
    struct sockaddr_un address;
    proxy->to = g_strdup(redis->socket);
    proxy->path = g_build_filename(redis->dir, "p", NULL);
    proxy->url = g_strconcat("unix://", proxy->path, NULL);
    for (size_t i = 0; i < PAIRS; i++)
        proxy->pairs[i] = (struct pair){ -1, -1 };
    proxy->listener = open_socket(proxy->path, &address);
    assert_int_equal(
        bind(proxy->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(proxy->listener, 8), 0);
    assert_int_equal(pipe(proxy->wake), 0);
    proxy->thread = g_thread_new("proxy", run_proxy, proxy);
    return proxy;
}

const char *test_proxy_url(const struct test_proxy *proxy)
{
    return proxy->url;
}

void test_proxy_lose(struct test_proxy *proxy, int every, int times)
{
    proxy->times = times;
    g_atomic_int_set(&proxy->every, every);
}

int test_proxy_lost(struct test_proxy *proxy)
{
    return g_atomic_int_get(&proxy->lost);
}

void test_proxy_stop(struct test_proxy *proxy)
{
    if (!proxy)
        return;
    assert_int_equal(write(proxy->wake[1], "x", 1), 1);
    g_thread_join(proxy->thread);
    for (size_t i = 0; i < PAIRS; i++) {
        if (proxy->pairs[i].client >= 0)
            end(&proxy->pairs[i]);
    }
    close(proxy->listener);
    close(proxy->wake[0]);
    close(proxy->wake[1]);
    unlink(proxy->path);
    g_free(proxy->to);
    g_free(proxy->path);
    g_free(proxy->url);
    g_free(proxy);
}
