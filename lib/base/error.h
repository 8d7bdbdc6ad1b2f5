/* error.h - how the library reports a failure: once, at the place that knows. */
#ifndef OX_LIB_ERROR_H
#define OX_LIB_ERROR_H

#include <ox.h>

/* Writes `err` (may be NULL) and returns `code`, so that callers can `return ox__fail(..)`. */
int ox__fail(ox_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for running out of memory. */
int ox__fail_memory(ox_error *err);

/* The same for an argument of a public function that is NULL. */
int ox__fail_null(ox_error *err, const char *function, const char *argument);
/* Ends a public function with that when an argument is NULL where the header allows none. */
#define OX__NEED(argument, err)                                                                \
    do {                                                                                       \
        if ((argument) == NULL) {                                                              \
            return ox__fail_null((err), __func__, #argument);                                  \
        }                                                                                      \
    } while (0)

/* 0, or OX_EINVAL when the reserve of an options struct, `count` numbers, is not all zero:
 * later versions may give it a meaning. NULL for a struct of defaults. */
int ox__reserve_check(const uint64_t *reserved, size_t count, const char *type, ox_error *err);
#define OX__RESERVED(type, options, err)                                                       \
    ox__reserve_check((options) != NULL ? (options)->reserved : NULL,                          \
        sizeof((options)->reserved) / sizeof((options)->reserved[0]), #type, (err))

/* The same for a struct within another. */
#define OX__RESERVED_IN(type, part, err)                                                       \
    ox__reserve_check(                                                                         \
        (part).reserved, sizeof((part).reserved) / sizeof((part).reserved[0]), #type, (err))

/* Frees through a pointer when a local goes out of scope; STEAL takes the value out first. */
#define OX__AUTO(free_fn) __attribute__((cleanup(free_fn)))
#define OX__STEAL(pointer)                                                                     \
    __extension__({                                                                            \
        __typeof__(pointer) stolen_ = (pointer);                                               \
        (pointer) = NULL;                                                                      \
        stolen_;                                                                               \
    })

/* For OX__AUTO on `char *` locals. */
void ox__free_text(char **text);

#endif /* OX_LIB_ERROR_H */
