/*
 * postgres.c - a private PostgreSQL server for a test program.
 *
 * It is a child with a parent-death signal, on which it ends at once and takes its own children
 * along. Debian keeps the programs of each version in a folder of its own, not in PATH.
 */
#include "postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "files.h"

#define START_LIMIT_MS 60000
#define STOP_LIMIT_MS 20000

/* The newest one; heap. */
static char *find_program(const char *name)
{
    glob_t found;
    g_autofree char *pattern = g_strdup_printf("/usr/lib/postgresql/*/bin/%s", name);
    char *path = NULL;
    if (glob(pattern, 0, NULL, &found) == 0)
        path = g_strdup(found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    if (!path)
        path = g_find_program_in_path(name);
    if (!path)
        test_fatal("%s of PostgreSQL is neither in /usr/lib/postgresql nor in PATH", name);
    return path;
}

/* Whom it runs as; NULL: as we are. */
static const struct passwd *other_user(void)
{
    if (geteuid() != 0)
        return NULL;
    const struct passwd *user = getpwnam("postgres");
    return user ? user : getpwnam("nobody");
}

/* Starts a program that writes into the log of the server. */
static pid_t launch(const struct test_postgres *postgres, const char *const *argv)
{
    const struct passwd *user = other_user();
    g_autofree char *log_path = g_build_filename(postgres->dir, "log", NULL);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t parent = getpid(), pid = fork();
    if (log < 0 || pid < 0)
        test_fatal("cannot start %s: %s", argv[0], g_strerror(errno));
    if (pid) {
        close(log);
        return pid;
    }
    if (user &&
        (setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0))
        _exit(127);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (getppid() != parent || dup2(log, 1) < 0 || dup2(log, 2) < 0 || chdir(postgres->dir) < 0)
        _exit(127);
    setpgid(0, 0); /* Ctrl-C is for the test, which stops the server in its own way */
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void fail_with_log(const struct test_postgres *postgres, const char *what)
{
    g_autofree char *path = g_build_filename(postgres->dir, "log", NULL);
    g_autofree char *said = test_read(path, NULL);
    test_fatal("%s; it said: %.1500s", what, said ? said : "nothing");
}

/* Another user has to get into the folder: those above it that are ours are opened for passing
 * through, up to the folder of temporary files. */
static void hand_over(const struct test_postgres *postgres)
{
    const struct passwd *user = other_user();
    struct stat about;
    if (!user)
        return;
    if (chown(postgres->dir, user->pw_uid, user->pw_gid) < 0)
        test_fatal("cannot give %s away: %s", postgres->dir, g_strerror(errno));
    g_autofree char *folder = g_path_get_dirname(postgres->dir);
    while (g_str_has_prefix(folder, g_get_tmp_dir()) && stat(folder, &about) == 0) {
        if (about.st_uid == geteuid() && (about.st_mode & 0011) != 0011)
            chmod(folder, (about.st_mode & 07777) | 0011);
        char *above = g_path_get_dirname(folder);
        g_free(folder);
        folder = above;
    }
}

static void make_cluster(const struct test_postgres *postgres)
{
    g_autofree char *program = find_program("initdb");
    g_autofree char *data = g_build_filename(postgres->dir, "data", NULL);
    g_autofree char *rules = g_build_filename(data, "pg_hba.conf", NULL);
    const char *const argv[] = { program, "--pgdata", data, "--username", "ox", "--no-sync",
        "--encoding", "UTF8", "--locale", "C", "--auth", "trust", "--no-instructions", NULL };
    int status = 0;
    pid_t pid = launch(postgres, argv);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status)
        fail_with_log(postgres, "initdb failed");
    int fd = open(rules, O_WRONLY | O_TRUNC | O_CLOEXEC); /* stays the other user's */
    static const char text[] = "local all secret scram-sha-256\nlocal all all trust\n";
    if (fd < 0 || write(fd, text, sizeof text - 1) != sizeof text - 1)
        test_fatal("cannot write %s: %s", rules, g_strerror(errno));
    close(fd);
}

static void drop_connection(struct test_postgres *postgres)
{
    PQfinish(postgres->conn);
    postgres->conn = NULL;
}

/* True when it answers, and also when it has ended and never will. */
static bool answers_or_ended(void *arg)
{
    struct test_postgres *postgres = arg;
    if (waitpid(postgres->pid, NULL, WNOHANG) == postgres->pid) {
        postgres->pid = 0;
        return true;
    }
    drop_connection(postgres);
    postgres->conn = PQconnectdb(postgres->url);
    return PQstatus(postgres->conn) == CONNECTION_OK;
}

void test_postgres_revive(struct test_postgres *postgres)
{
    g_autofree char *program = find_program("postgres");
    g_autofree char *data = g_build_filename(postgres->dir, "data", NULL);
    const char *const argv[] = { program, "-D", data, "-k", postgres->dir, "-h", "", "-F", "-c",
        "shared_buffers=8MB", "-c", "max_connections=20", "-c",
        "dynamic_shared_memory_type=mmap", "-c", "autovacuum=off", NULL };
    postgres->pid = launch(postgres, argv);
    if (!test_wait_for(START_LIMIT_MS, answers_or_ended, postgres) || !postgres->pid)
        fail_with_log(postgres, "PostgreSQL does not answer");
}

struct test_postgres *test_postgres_start(void)
{
    struct test_postgres *postgres = g_new0(struct test_postgres, 1);
    postgres->dir = test_dir_new();
    postgres->url = test_postgres_url(postgres, "ox", "");
    hand_over(postgres);
    make_cluster(postgres);
    test_postgres_revive(postgres);
    return postgres;
}

static bool has_ended(void *arg)
{
    return waitpid(((struct test_postgres *)arg)->pid, NULL, WNOHANG) != 0;
}

void test_postgres_crash(struct test_postgres *postgres)
{
    drop_connection(postgres);
    if (!postgres->pid)
        return;
    kill(postgres->pid, SIGQUIT);
    if (!test_wait_for(STOP_LIMIT_MS, has_ended, postgres)) {
        kill(postgres->pid, SIGKILL);
        waitpid(postgres->pid, NULL, 0);
    }
    postgres->pid = 0;
}

void test_postgres_stop(struct test_postgres *postgres)
{
    if (!postgres)
        return;
    test_postgres_crash(postgres); /* nothing of it is needed any more */
    test_remove(postgres->dir);
    g_free(postgres->dir);
    g_free(postgres->url);
    g_free(postgres);
}

char *test_postgres_url(
    const struct test_postgres *postgres, const char *user, const char *more)
{
    return g_strdup_printf("postgresql://%s@/postgres?host=%s%s", user, postgres->dir, more);
}

static PGresult *ask(struct test_postgres *postgres, const char *sql)
{
    if (PQstatus(postgres->conn) != CONNECTION_OK) {
        drop_connection(postgres);
        postgres->conn = test_postgres_connect(postgres);
    }
    PGresult *result = PQexec(postgres->conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        test_fatal("%s: %s", sql, PQerrorMessage(postgres->conn));
    return result;
}

void test_postgres_do(struct test_postgres *postgres, const char *sql)
{
    PQclear(ask(postgres, sql));
}

char *test_postgres_text(struct test_postgres *postgres, const char *sql)
{
    PGresult *result = ask(postgres, sql);
    const char *text = "";
    if (PQntuples(result) > 0)
        text = PQgetisnull(result, 0, 0) ? "NULL" : PQgetvalue(result, 0, 0);
    char *copy = g_strdup(text);
    PQclear(result);
    return copy;
}

PGconn *test_postgres_connect(const struct test_postgres *postgres)
{
    PGconn *conn = PQconnectdb(postgres->url);
    if (PQstatus(conn) != CONNECTION_OK)
        test_fatal("%s", PQerrorMessage(conn));
    return conn;
}
