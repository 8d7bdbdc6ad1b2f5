/* request.c - lists of requests; see request.h. */
#include "wire/request.h"

void ox__requests_init(struct ox__requests *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

void ox__requests_push(struct ox__requests *list, struct ox__request *request)
{
    request->next = NULL;
    *list->tail = request;
    list->tail = &request->next;
}

void ox__requests_push_front(struct ox__requests *list, struct ox__request *request)
{
    request->next = list->head;
    list->head = request;
    if (request->next == NULL) {
        list->tail = &request->next;
    }
}

struct ox__request *ox__requests_pop(struct ox__requests *list)
{
    struct ox__request *request = list->head;
    if (request != NULL) {
        list->head = request->next;
        if (list->head == NULL) {
            list->tail = &list->head;
        }
    }
    return request;
}

void ox__requests_take(struct ox__requests *out, struct ox__requests *from)
{
    struct ox__request *request;
    ox__requests_init(out);
    while ((request = ox__requests_pop(from)) != NULL) {
        ox__requests_push(out, request);
    }
}
