/*
 * groups.c - see groups.h.
 */
#include "groups.h"
#include "json.h"
#include "records.h"

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
    FIELD_COUNT
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

static const struct field show_fields[FIELD_COUNT] = {
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
};
static const struct records_style show_style = { .fields = show_fields,
    .count = FIELD_COUNT,
    .shape = RECORDS_CARD,
    .titles = { "FIELD", "VALUE" } };

static void add_group(struct records *records, const ox_group_info *group)
{
    g_autofree char *behind = group->lag > 0 ? span_text(group->lag_ms) : g_strdup("-");
    records_add(records,
        (const struct value[FIELD_COUNT]){
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
        });
}

void group_print(const struct run *run, const ox_group_info *group)
{
    struct records *records = records_new(run, &show_style);
    add_group(records, group);
    records_end(records);
}

void groups_print(const struct run *run, ox_group_info *const *groups, size_t count)
{
    struct records *records = records_new(run, &ls_style);
    for (size_t i = 0; i < count; i++) {
        add_group(records, groups[i]);
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
