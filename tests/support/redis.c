/*
 * redis.c - a private redis-server for a test program.
 *
 * The server is a child with a parent-death signal, so it never outlives the test; its folder
 * is one of test_dir_new() and goes away with the program in any case. One connection for
 * looking at it is kept open between calls.
 */
#include "redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "files.h"

#define START_LIMIT_MS 10000
#define STOP_LIMIT_MS 10000

static void become_server(struct test_redis *redis, int log, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(127);
    if (redis->clock) {
        setenv("LD_PRELOAD", redis->clock_library, 1);
        setenv("OX_TEST_CLOCK", redis->clock, 1);
    }
    setpgid(0, 0); /* Ctrl-C is for the test, which stops the server in its own way */
    execvp(redis->argv[0], redis->argv);
    _exit(127);
}

static void drop_connection(struct test_redis *redis)
{
    if (redis->context)
        redisFree(redis->context);
    redis->context = NULL;
}

static bool connects(struct test_redis *redis)
{
    redis->context = redisConnectUnix(redis->socket);
    if (!redis->context || redis->context->err)
        return false;
    if (!redis->password)
        return true;
    redisReply *reply = redisCommand(redis->context, "AUTH %s", redis->password);
    bool good = reply && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return good;
}

/* True when it answers, and also when it has ended and never will. */
static bool answers_or_ended(void *arg)
{
    struct test_redis *redis = arg;
    if (waitpid(redis->pid, NULL, WNOHANG) == redis->pid) {
        redis->pid = 0;
        return true;
    }
    drop_connection(redis);
    if (!connects(redis))
        return false;
    redisReply *reply = redisCommand(redis->context, "PING");
    bool good = reply && reply->type == REDIS_REPLY_STATUS && !strcmp(reply->str, "PONG");
    freeReplyObject(reply);
    return good;
}

static void launch(struct test_redis *redis)
{
    g_autofree char *log_path = g_build_filename(redis->dir, "log", NULL);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t parent = getpid();
    if (log < 0)
        test_fatal("cannot write %s: %s", log_path, g_strerror(errno));
    redis->pid = fork();
    if (redis->pid < 0)
        test_fatal("cannot fork: %s", g_strerror(errno));
    if (redis->pid == 0)
        become_server(redis, log, parent);
    close(log);
    if (test_wait_for(START_LIMIT_MS, answers_or_ended, redis) && redis->pid)
        return;
    g_autofree char *said = test_read(log_path, NULL);
    test_redis_kill(redis);
    test_fatal("redis-server does not answer; it said: %.800s", said ? said : "nothing");
}

/* One that is not launched yet. */
static struct test_redis *new_server(const char *const *extra_args)
{
    struct test_redis *redis = g_new0(struct test_redis, 1);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    redis->dir = test_dir_new();
    redis->socket = g_build_filename(redis->dir, "redis.sock", NULL);
    redis->url = g_strconcat("unix://", redis->socket, NULL);
    if (strlen(redis->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        test_fatal("the path %s is too long for a socket: set TMPDIR", redis->socket);

    const char *const plain[] = { "redis-server", "--port", "0", "--unixsocket", redis->socket,
        "--dir", redis->dir, "--save", "", "--appendonly", "no", "--daemonize", "no" };
    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++)
        g_ptr_array_add(argv, g_strdup(plain[i]));
    for (; extra_args && *extra_args; extra_args++) {
        g_ptr_array_add(argv, g_strdup(*extra_args));
        if (!strcmp(*extra_args, "--requirepass"))
            redis->password = g_strdup(extra_args[1]);
    }
    g_ptr_array_add(argv, NULL);
    redis->argv = (char **)g_ptr_array_steal(argv, NULL);
    return redis;
}

struct test_redis *test_redis_start(const char *const *extra_args)
{
    struct test_redis *redis = new_server(extra_args);
    launch(redis);
    return redis;
}

struct test_redis *test_redis_start_clocked(const char *const *extra_args)
{
    struct test_redis *redis = new_server(extra_args);
    redis->clock = g_build_filename(redis->dir, "clock", NULL);
    redis->clock_library = g_build_filename(test_build_dir(), "tests/clock/clock.so", NULL);
    if (access(redis->clock_library, R_OK) != 0)
        test_fatal("%s is missing: make test builds it", redis->clock_library);
    test_redis_set_clock(redis, 0);
    launch(redis);
    return redis;
}

void test_redis_set_clock(struct test_redis *redis, int64_t offset_ms)
{
    int fd = open(redis->clock, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, &offset_ms, sizeof(offset_ms), 0) != (ssize_t)sizeof(offset_ms))
        test_fatal("cannot write %s: %s", redis->clock, g_strerror(errno));
    close(fd);
}

const char *test_redis_url(const struct test_redis *redis)
{
    return redis->url;
}

static bool server_ended(void *arg)
{
    struct test_redis *redis = arg;
    return waitpid(redis->pid, NULL, WNOHANG) != 0;
}

static void end_server(struct test_redis *redis, int signal_number)
{
    drop_connection(redis);
    if (!redis->pid)
        return;
    kill(redis->pid, signal_number);
    if (!test_wait_for(STOP_LIMIT_MS, server_ended, redis)) {
        kill(redis->pid, SIGKILL);
        waitpid(redis->pid, NULL, 0);
    }
    redis->pid = 0;
}

void test_redis_kill(struct test_redis *redis)
{
    end_server(redis, SIGKILL);
}

void test_redis_revive(struct test_redis *redis)
{
    unlink(redis->socket); /* what a crash leaves behind */
    launch(redis);
}

void test_redis_stop(struct test_redis *redis)
{
    if (!redis)
        return;
    end_server(redis, SIGTERM);
    test_remove(redis->dir);
    g_strfreev(redis->argv);
    g_free(redis->dir);
    g_free(redis->socket);
    g_free(redis->url);
    g_free(redis->password);
    g_free(redis->clock);
    g_free(redis->clock_library);
    g_free(redis);
}

static redisReply *command(struct test_redis *redis, const char *format, va_list args)
{
    if (!redis->context && !connects(redis))
        test_fatal("cannot connect to the test's redis-server");
    redisReply *reply = redisvCommand(redis->context, format, args);
    if (!reply)
        test_fatal("%s: %s", format, redis->context->errstr);
    return reply;
}

redisReply *test_redis_command(struct test_redis *redis, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = command(redis, format, args);
    va_end(args);
    return reply;
}

void test_redis_do(struct test_redis *redis, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = command(redis, format, args);
    va_end(args);
    if (reply->type == REDIS_REPLY_ERROR)
        test_fatal("%s: %s", format, reply->str);
    freeReplyObject(reply);
}

long long test_redis_int(struct test_redis *redis, const char *format, ...)
{
    long long value = 0;
    va_list args;
    va_start(args, format);
    redisReply *reply = command(redis, format, args);
    va_end(args);
    switch (reply->type) {
    case REDIS_REPLY_NIL:
        break;
    case REDIS_REPLY_INTEGER:
        value = reply->integer;
        break;
    case REDIS_REPLY_STRING: {
        char *end;
        value = g_ascii_strtoll(reply->str, &end, 10);
        if (end == reply->str || *end)
            test_fatal("%s: \"%s\" is no number", format, reply->str);
        break;
    }
    default:
        test_fatal(
            "%s: a reply of type %d: %s", format, reply->type, reply->str ? reply->str : "");
    }
    freeReplyObject(reply);
    return value;
}

char *test_redis_text(struct test_redis *redis, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = command(redis, format, args);
    va_end(args);
    if (reply->type != REDIS_REPLY_NIL && reply->type != REDIS_REPLY_STRING &&
        reply->type != REDIS_REPLY_STATUS)
        test_fatal(
            "%s: a reply of type %d: %s", format, reply->type, reply->str ? reply->str : "");
    char *text = g_strdup(reply->str);
    freeReplyObject(reply);
    return text;
}

int test_free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        test_fatal("no free port: %s", g_strerror(errno));
    close(fd);
    return ntohs(address.sin_port);
}
