/*
 * groups.c - see groups.h.
 */
#include "groups.h"
#include "json.h"
#include "records.h"
#include <stdio.h>

enum {
    NAME,
    POSITION,
    LAG,
    BEHIND,
    PENDING,
    AGAIN,
    DEAD,
    LOST,
    MEMBERS,
    OWNER,
    DROPPED,
    FIELD_COUNT,
    MEMBER_LIST = FIELD_COUNT, /* of show alone */
    SHOW_COUNT
};
#define NUMBER(title_, key_, flags_)                                                           \
    {                                                                                          \
        .title = (title_), .key = (key_), .kind = FIELD_NUMBER,                                \
        .flags = COLUMN_RIGHT | (flags_)                                                       \
    }
static const struct field ls_fields[FIELD_COUNT] = {
    [NAME] = { .title = "GROUP", .key = "group", .kind = FIELD_TEXT, .tint = TINT_BOLD },
    [POSITION] = { .title = "POSITION",
        .key = "position",
        .kind = FIELD_TEXT,
        .flags = COLUMN_SPARE },
    [LAG] = NUMBER("LAG", "lag", 0),
    [BEHIND] = { .title = "BEHIND",
        .key = "lagMs",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT },
    [PENDING] = NUMBER("PENDING", "pending", 0),
    [AGAIN] = NUMBER("AGAIN", "again", COLUMN_RARE),
    [DEAD] = NUMBER("DEAD", "dead", 0),
    [LOST] = NUMBER("LOST", "lost", 0),
    [MEMBERS] = NUMBER("MEMBERS", "members", 0),
    [OWNER] = { .title = "OWNER",
        .key = "owner",
        .kind = FIELD_TEXT,
        .flags = COLUMN_RARE | COLUMN_FLEX },
    [DROPPED] = NUMBER("DROPPED", "dropped", COLUMN_RARE),
};
static const struct records_style ls_style = { .fields = ls_fields, .count = FIELD_COUNT };

static const struct field show_fields[SHOW_COUNT] = {
    [NAME] = { .title = "group", .key = "group", .kind = FIELD_TEXT },
    [POSITION] = { .title = "position", .key = "position", .kind = FIELD_TEXT },
    [LAG] = NUMBER("lag", "lag", 0),
    [BEHIND] = NUMBER("behind", "lagMs", 0),
    [PENDING] = NUMBER("pending", "pending", 0),
    [AGAIN] = NUMBER("again", "again", 0),
    [DEAD] = NUMBER("dead", "dead", 0),
    [LOST] = NUMBER("lost", "lost", 0),
    [MEMBERS] = NUMBER("members", "members", 0),
    [OWNER] = { .title = "owner", .key = "owner", .kind = FIELD_TEXT, .flags = COLUMN_RARE },
    [DROPPED] = NUMBER("dropped", "dropped", COLUMN_RARE),
    [MEMBER_LIST] = { .key = "memberList", .kind = FIELD_JSON },
};
static const struct records_style show_style = { .fields = show_fields,
    .count = SHOW_COUNT,
    .shape = RECORDS_CARD,
    .titles = { "FIELD", "VALUE" } };

enum { MEMBER, MEMBER_PENDING, MEMBER_AGAIN, IDLE, MEMBER_FIELDS };
static const struct field member_fields[MEMBER_FIELDS] = {
    [MEMBER] = { .title = "MEMBER", .kind = FIELD_TEXT, .flags = COLUMN_FLEX },
    [MEMBER_PENDING] = NUMBER("PENDING", NULL, 0),
    [MEMBER_AGAIN] = NUMBER("AGAIN", NULL, COLUMN_RARE),
    [IDLE] = NUMBER("IDLE", NULL, 0),
};
static const struct records_style member_style = { .fields = member_fields,
    .count = MEMBER_FIELDS };

/* `members`: JSON of them, or NULL. */
static void add_group(struct records *records, const ox_group_info *group, const char *members)
{
    g_autofree char *behind = group->lag > 0 ? span_text(group->lag_ms) : g_strdup("-");
    records_add(records,
        (const struct value[SHOW_COUNT]){
            [NAME] = { .text = group->name },
            [POSITION] = { .text = group->position },
            [LAG] = { .number = group->lag },
            [BEHIND] = { .number = group->lag_ms, .shown = behind },
            [PENDING] = { .number = group->pending },
            [AGAIN] = { .number = group->again },
            [DEAD] = { .number = group->dead, .tint = group->dead ? TINT_RED : TINT_NONE },
            [LOST] = { .number = group->lost, .tint = group->lost ? TINT_RED : TINT_NONE },
            [MEMBERS] = { .number = group->members },
            [OWNER] = { .text = group->owner },
            [DROPPED] = { .number = group->dropped,
                .tint = group->dropped ? TINT_RED : TINT_NONE },
            [MEMBER_LIST] = { .text = members },
        });
}

static void print_members(const struct run *run, ox_group_member *const *members, size_t count)
{
    struct records *records = records_new(run, &member_style);
    for (size_t i = 0; i < count; i++) {
        const ox_group_member *member = members[i];
        g_autofree char *idle = span_text(member->idle_ms);
        records_add(records, (const struct value[MEMBER_FIELDS]){
                                 [MEMBER] = { .text = member->name },
                                 [MEMBER_PENDING] = { .number = member->pending },
                                 [MEMBER_AGAIN] = { .number = member->again },
                                 [IDLE] = { .number = member->idle_ms, .shown = idle },
                             });
    }
    records_end(records);
}

static char *members_json(ox_group_member *const *members, size_t count)
{
    GString *list = g_string_new("[");
    for (size_t i = 0; i < count; i++) {
        const ox_group_member *member = members[i];
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "member", member->name);
        obj_int(&obj, "pending", member->pending);
        obj_int(&obj, "again", member->again);
        obj_int(&obj, "idleMs", member->idle_ms);
        g_autofree char *text = obj_take(&obj);
        g_string_append_printf(list, "%s%s", i > 0 ? "," : "", text);
    }
    g_string_append_c(list, ']');
    return g_string_free(list, FALSE);
}

void group_print(const struct run *run, const ox_group_info *group,
    ox_group_member *const *members, size_t count)
{
    struct records *records = records_new(run, &show_style);
    g_autofree char *list = members_json(members, count);
    add_group(records, group, list);
    records_end(records);
    if (run->out.terminal && !run->json && count > 0) {
        printf("\n");
        print_members(run, members, count);
    }
}

void groups_print(const struct run *run, ox_group_info *const *groups, size_t count)
{
    struct records *records = records_new(run, &ls_style);
    for (size_t i = 0; i < count; i++) {
        add_group(records, groups[i], NULL);
    }
    records_end(records);
}

char *groups_json(ox_group_info *const *groups, size_t count)
{
    GString *list = g_string_new("[");
    for (size_t i = 0; i < count; i++) {
        const ox_group_info *group = groups[i];
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "group", group->name);
        obj_text(&obj, "position", group->position);
        obj_int(&obj, "lag", group->lag);
        obj_int(&obj, "lagMs", group->lag_ms);
        obj_int(&obj, "pending", group->pending);
        obj_int(&obj, "again", group->again);
        obj_int(&obj, "dead", group->dead);
        obj_int(&obj, "lost", group->lost);
        obj_int(&obj, "members", group->members);
        obj_text(&obj, "owner", group->owner);
        obj_int(&obj, "dropped", group->dropped);
        g_autofree char *text = obj_take(&obj);
        g_string_append_printf(list, "%s%s", i > 0 ? "," : "", text);
    }
    g_string_append_c(list, ']');
    return g_string_free(list, FALSE);
}
