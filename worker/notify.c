/*
 * notify.c - datagrams to the socket that systemd names in NOTIFY_SOCKET: a path, or an
 * abstract name with '@' in place of the NUL. A library for that is not worth its weight.
 */
#include "notify.h"

#include <glib.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STATUS_MS 1000 /* between two of them */
#define STATUS_BYTES 128

static struct {
    uv_loop_t *loop;
    uv_timer_t watchdog, later; /* `later` sends the status that came too soon */
    char status[STATUS_BYTES];  /* the newest one */
    char sent[STATUS_BYTES];
    uint64_t sent_ms; /* loop's clock; 0: none */
} service;

static void send_state(const char *state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    if (path == NULL || !*path || strlen(path) >= sizeof address.sun_path) {
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (*path == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
        (const struct sockaddr *)&address, size);
    close(fd);
}

bool notify_wanted(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    return path != NULL && *path != '\0';
}

void notify_ready(void)
{
    send_state("READY=1");
}

void notify_reloading(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    g_autofree char *state = g_strdup_printf("RELOADING=1\nMONOTONIC_USEC=%lld",
        (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    send_state(state);
}

void notify_stopping(void)
{
    send_state("STOPPING=1");
}

/* ---- Status ------------------------------------------------------------------------------ */

static void send_status(void)
{
    g_autofree char *state = g_strconcat("STATUS=", service.status, NULL);
    g_strlcpy(service.sent, service.status, sizeof service.sent);
    service.sent_ms = uv_now(service.loop);
    send_state(state);
}

static void on_later(uv_timer_t *timer)
{
    (void)timer;
    if (strcmp(service.status, service.sent) != 0) {
        send_status();
    }
}

void notify_status(const char *text)
{
    if (service.loop == NULL || strcmp(text, service.status) == 0) {
        return;
    }
    g_strlcpy(service.status, text, sizeof service.status);
    uint64_t since_ms = uv_now(service.loop) - service.sent_ms;
    if (service.sent_ms == 0 || since_ms >= STATUS_MS) {
        send_status();
    } else if (!uv_is_active((uv_handle_t *)&service.later)) {
        uv_timer_start(&service.later, on_later, STATUS_MS - since_ms, 0);
    }
}

/* ---- The watchdog ------------------------------------------------------------------------ */

/* Half the time after which systemd takes us for dead; 0: it does not look. */
static uint64_t watchdog_ms(void)
{
    const char *time = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (time == NULL || (pid != NULL && g_ascii_strtoll(pid, NULL, 10) != getpid())) {
        return 0;
    }
    return g_ascii_strtoull(time, NULL, 10) / 2000;
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    send_state("WATCHDOG=1");
}

void notify_start(uv_loop_t *loop)
{
    uint64_t ms = watchdog_ms();
    service.loop = loop;
    uv_timer_init(loop, &service.watchdog);
    uv_timer_init(loop, &service.later);
    if (ms > 0) {
        uv_timer_start(&service.watchdog, on_watchdog, 0, ms);
    }
}

void notify_stop(void)
{
    service.loop = NULL;
    uv_close((uv_handle_t *)&service.watchdog, NULL);
    uv_close((uv_handle_t *)&service.later, NULL);
}
