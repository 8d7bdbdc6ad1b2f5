/*
 * What /proc says of a tree of processes: all of it, however wide the tree is.
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/proc.h"

#define CHILDREN 1500 /* the kernel gives lists of children in pages, of some 600 each */

static void finds_more_children_than_one_read_gives(void **state)
{
    static pid_t children[CHILDREN];
    (void)state;
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            pause();
            _exit(0);
        }
        if (children[i] < 0)
            test_fatal("cannot fork child %zu", i);
    }
    g_autoptr(GArray) tree = proc_tree(getpid());
    for (size_t i = 0; i < CHILDREN; i++)
        kill(children[i], SIGKILL);
    for (size_t i = 0; i < CHILDREN; i++)
        waitpid(children[i], NULL, 0);
    assert_int_equal(tree->len, CHILDREN + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_more_children_than_one_read_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
