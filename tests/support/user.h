/*
 * user.h - the same tests as another user, when they are run by root.
 */
#ifndef OX_TESTS_USER_H
#define OX_TESTS_USER_H

#include <sys/types.h>

/** Calls `run` in a process of its own that belongs to a user without rights, before this one
 * has made any file. Returns what `run` returned; 0, and nothing was run, when this process is
 * not root's or such a user cannot reach the build folder. */
int test_as_plain_user(int (*run)(void));
/** The same as a user of that number, who need not have a name. */
int test_as_user(uid_t uid, int (*run)(void));

#endif /* OX_TESTS_USER_H */
