/*
 * groups.h - groups of a stream, as they are shown.
 */
#ifndef OX_CLI_GROUPS_H
#define OX_CLI_GROUPS_H

#include "cmd.h"

/* One, by its fields, and its members. */
void group_print(const struct run *run, const ox_group_info *group,
    ox_group_member *const *members, size_t count);
/* A list of them; and the same as a JSON array, heap. */
void groups_print(const struct run *run, ox_group_info *const *groups, size_t count);
char *groups_json(ox_group_info *const *groups, size_t count);

#endif /* OX_CLI_GROUPS_H */
