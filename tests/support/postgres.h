/*
 * postgres.h - a private PostgreSQL server for a test program.
 *
 * It listens on a unix socket in a temporary folder, on no port, and writes nothing through to
 * the disk. It dies with the test program. PostgreSQL refuses to run as root; then it runs as
 * the user postgres, or nobody.
 */
#ifndef OX_TESTS_POSTGRES_H
#define OX_TESTS_POSTGRES_H

#include <libpq-fe.h>
#include <stdint.h>
#include <sys/types.h>

struct test_postgres {
    char *dir;    /* its folder: socket, data, log */
    char *url;    /* of the superuser "ox", without a password; database postgres */
    pid_t pid;    /* 0 while it does not run */
    PGconn *conn; /* for looking at it */
};

/** Makes a database cluster and starts its server. The user "secret", once created, needs a
 *  password; all others need none. Fails the test on error. */
struct test_postgres *test_postgres_start(void);

/** Stops it and removes its folder. NULL is fine. */
void test_postgres_stop(struct test_postgres *postgres);

/** Ends it at once, as a crash would. Its folder stays. */
void test_postgres_crash(struct test_postgres *postgres);
/** Starts it again, in the same place. */
void test_postgres_revive(struct test_postgres *postgres);

/** The URL of a user in the database postgres; the caller's (g_free). `more` is what follows
 *  the '?' besides the host, "&connect_timeout=2", or "". */
char *test_postgres_url(
    const struct test_postgres *postgres, const char *user, const char *more);

/** Runs statements; fails the test when one is refused. */
void test_postgres_do(struct test_postgres *postgres, const char *sql);
/** The first column of the first row as text; the caller's (g_free). "" for no row, "NULL" for
 *  a null. */
char *test_postgres_text(struct test_postgres *postgres, const char *sql);

/** Another connection to it; the caller's (PQfinish). */
PGconn *test_postgres_connect(const struct test_postgres *postgres);

#endif /* OX_TESTS_POSTGRES_H */
