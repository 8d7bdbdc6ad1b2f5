/*
 * confirm.h - confirmation of destructive verbs.
 */
#ifndef OX_CLI_CONFIRM_H
#define OX_CLI_CONFIRM_H

#include "cmd.h"

/* The option row of the verbs that ask; `type` has a bool `yes`. */
#define CONFIRM_ROW(type)                                                                      \
    {                                                                                          \
        .name = "yes", .letter = 'y', .kind = OPT_FLAG, .offset = offsetof(type, yes),         \
        .help = "do not ask"                                                                   \
    }

/* That of the verbs that refuse to remove what is in use; `type` has a bool `force`.
 * `even_while` says what they refuse, and what is lost. */
#define FORCE_ROW(type, even_while)                                                            \
    {                                                                                          \
        .name = "force", .kind = OPT_FLAG, .offset = offsetof(type, force),                    \
        .help = "even while " even_while                                                       \
    }

/*
 * Asks on the terminal for confirmation of `action` ("remove 3 jobs from images").
 * @param yes     --yes was given: do not ask
 * @param answer  what has to be typed; NULL: y or yes
 * @return STATUS_DONE to go on; STATUS_FAILED when declined, STATUS_USAGE without a terminal;
 * both are reported
 */
int confirm(struct run *run, bool yes, const char *action, const char *answer);

/*
 * The same for ids, the arguments from the second on, that are removed from the first. One is
 * removed at once; more need a confirmation, because a list from a pipe may be longer than
 * expected.
 * @param what  "jobs"
 * @param from  "from queue"
 */
int confirm_ids(struct run *run, bool yes, const char *what, const char *from);

#endif /* OX_CLI_CONFIRM_H */
