/* list.c - makes lists; see list.h for what they are. */
#include "queue/list.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

void ox_list_free(void *list)
{
    void **items = list;
    for (size_t i = 0; items != NULL && items[i] != NULL; i++) {
        free(items[i]);
    }
    free(items);
}

void ox__list_done(struct ox__list *list)
{
    ox_list_free(list->items);
    memset(list, 0, sizeof(*list));
}

/* Room for one more, and for the NULL at the end. */
static bool reserve(struct ox__list *list)
{
    if (list->count + 1 < list->room) {
        return true;
    }
    size_t room = list->room == 0 ? 16 : list->room * 2;
    void **items = realloc(list->items, room * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    list->items = items;
    list->room = room;
    return true;
}

int ox__list_add(struct ox__list *list, void *item, ox_error *err)
{
    if (item == NULL || !reserve(list)) {
        free(item);
        return ox__fail_memory(err);
    }
    list->items[list->count++] = item;
    list->items[list->count] = NULL;
    return 0;
}

int ox__list_take(struct ox__list *list, void *out, size_t *count, ox_error *err)
{
    if (list->items == NULL) {
        list->items = calloc(1, sizeof(*list->items));
        if (list->items == NULL) {
            return ox__fail_memory(err);
        }
    }
    memcpy(out, &list->items, sizeof(list->items));
    if (count != NULL) {
        *count = list->count;
    }
    memset(list, 0, sizeof(*list));
    return 0;
}

void *ox__list_item(const void *item, size_t size, const size_t *texts, size_t count)
{
    size_t total = size;
    const char *text;
    for (size_t i = 0; i < count; i++) {
        memcpy(&text, (const char *)item + texts[i], sizeof(text));
        total += text != NULL ? strlen(text) + 1 : 0;
    }
    char *block = malloc(total);
    if (block == NULL) {
        return NULL;
    }
    memcpy(block, item, size);
    char *at = block + size;
    for (size_t i = 0; i < count; i++) {
        memcpy(&text, (const char *)item + texts[i], sizeof(text));
        if (text != NULL) {
            size_t len = strlen(text) + 1;
            memcpy(at, text, len);
            memcpy(block + texts[i], &at, sizeof(at));
            at += len;
        }
    }
    return block;
}
