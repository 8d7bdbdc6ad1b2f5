/*
 * members.h - consumers of a stream on a loop of the test's own, and what they were handed.
 */
#ifndef OX_TESTS_MEMBERS_H
#define OX_TESTS_MEMBERS_H

#include <glib.h>
#include <ox.h>
#include <uv.h>

#include "streams.h"

/** A consumer and what it was told. */
struct test_member {
    ox_consumer *consumer;
    GPtrArray *batches; /* that run now, the oldest first */
    GString *log;       /* a line for each batch, end, notice, error */
    GHashTable *seen;   /* number of an event -> how often it was in a batch that was done */
    guint done;         /* events */
    void (*on_batch)(struct test_member *member, ox_batch *batch); /* NULL: keep it */
    bool closed, ready;
    bool quiet; /* no lines */
};

extern uv_loop_t test_loop;

/** Set-up and tear-down of a test with a stream, see streams.h, and a loop. */
int test_members_up(void **state);
int test_members_down(void **state);
#define WITH_MEMBERS(test)                                                                     \
    cmocka_unit_test_setup_teardown(test, test_members_up, test_members_down)

/** Starts a member of the group; options may be NULL. Freed by the tear-down. */
struct test_member *test_member_new(const char *group, const ox_consumer_options *options);
/** Runs the loop until it is so; fails the test after ten seconds. */
void test_loop_until(bool (*is_so)(struct test_member *member), struct test_member *member);
/** Waits for a line that contains this, and forgets all up to it. */
void test_member_expect(struct test_member *member, const char *line);
/** Waits for a batch: the oldest that runs. */
ox_batch *test_member_batch(struct test_member *member);
/** Its events as numbers, "1,2,3"; the caller's. */
char *test_batch_numbers(ox_batch *batch);
void test_expect_batch(ox_batch *batch, const char *numbers);
/** Closes it and waits. */
void test_member_close(struct test_member *member);
void test_member_abort(struct test_member *member);
/** Ends a batch as done, counted in `seen`. */
void test_batch_done(struct test_member *member, ox_batch *batch);
/** Runs the loop for what is due now. */
void test_loop_once(void);

/** Publishes `n` events in one entry or more. */
void test_publish(int n);

#endif /* OX_TESTS_MEMBERS_H */
