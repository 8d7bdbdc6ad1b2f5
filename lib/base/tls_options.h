/*
 * tls_options.h - the options of TLS that all programs share.
 *
 * They override the same options of a rediss:// URL.
 */
#ifndef OX_LIB_BASE_TLS_OPTIONS_H
#define OX_LIB_BASE_TLS_OPTIONS_H

#include "base/options.h"

#include <ox.h>

struct ox__tls_given {
    const char *ca, *cert, *key, *name; /* NULL: not given */
    bool insecure;
};

/* Rows for a struct `type` that has such a `member`. */
#define OX__TLS_ROWS(type, member)                                                             \
    { .name = "tls-ca",                                                                        \
        .kind = OPT_TEXT,                                                                      \
        .offset = offsetof(type, member.ca),                                                   \
        .arg = "PATH",                                                                         \
        .env = "OX_TLS_CA",                                                                    \
        .help =                                                                                \
            "with a rediss:// URL: CA certificates to trust, a PEM file or a folder; else "    \
            "those of the system" },                                                           \
        { .name = "tls-cert",                                                                  \
            .kind = OPT_TEXT,                                                                  \
            .offset = offsetof(type, member.cert),                                             \
            .arg = "FILE",                                                                     \
            .env = "OX_TLS_CERT",                                                              \
            .help = "the certificate to show to the server, a PEM file" },                     \
        { .name = "tls-key",                                                                   \
            .kind = OPT_TEXT,                                                                  \
            .offset = offsetof(type, member.key),                                              \
            .arg = "FILE",                                                                     \
            .env = "OX_TLS_KEY",                                                               \
            .help = "its key, a PEM file; else it is in the file of the certificate" },        \
        { .name = "tls-name",                                                                  \
            .kind = OPT_TEXT,                                                                  \
            .offset = offsetof(type, member.name),                                             \
            .arg = "NAME",                                                                     \
            .env = "OX_TLS_NAME",                                                              \
            .help = "the name or address in the server's certificate; else the URL's host" },  \
    {                                                                                          \
        .name = "tls-insecure", .kind = OPT_FLAG, .offset = offsetof(type, member.insecure),   \
        .help = "accept any certificate: a man in the middle can read and change everything"   \
    }

/* Copies them to a client's options. */
static inline void ox__tls_use(const struct ox__tls_given *given, ox_client_options *options)
{
    options->tls_ca = given->ca;
    options->tls_cert = given->cert;
    options->tls_key = given->key;
    options->tls_name = given->name;
    options->tls_insecure = given->insecure;
}

#endif /* OX_LIB_BASE_TLS_OPTIONS_H */
