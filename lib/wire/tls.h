/*
 * tls.h - TLS between a connection and its socket, in memory: bytes go in, bytes come out.
 *
 * Verification of the server is on unless the URL says otherwise: a chain to a trusted CA, and
 * the name or address of the URL. TLS 1.2 is the least. OpenSSL never sees the socket, so it
 * neither blocks nor raises SIGPIPE.
 */
#ifndef OX_LIB_TLS_H
#define OX_LIB_TLS_H

#include "wire/url.h"

#include <sys/types.h>

/* Certificates, keys, and the session of the last connection, which the next one resumes.
 */
struct ox__tls;
/* For a URL with `tls`. OX_EINVAL for files that cannot be used. */
int ox__tls_new(struct ox__tls **out, const struct ox__url *url, ox_error *err);
void ox__tls_free(struct ox__tls *tls);

/* One connection. */
struct ox__tls_stream;
/* NULL when out of memory. */
struct ox__tls_stream *ox__tls_open(struct ox__tls *tls);
void ox__tls_close(struct ox__tls_stream *stream);

/* Continues the handshake. 1 when it is done, 0 when more bytes are needed, or OX_ETLS. The
 * output must be sent in each case: an alert tells the server the reason of a refusal. */
int ox__tls_shake(struct ox__tls_stream *stream, ox_error *err);
/* Takes received bytes. 0 or OX_ENOMEM. */
int ox__tls_feed(struct ox__tls_stream *stream, const char *bytes, size_t len, ox_error *err);
/* Decrypts. The number of bytes, 0 when more is needed, or an OX_E... code: OX_ECLOSED after
 * the server's close_notify. */
ssize_t ox__tls_read(struct ox__tls_stream *stream, char *out, size_t size, ox_error *err);
/* Encrypts; returns how many bytes were taken, or an OX_E... code. */
ssize_t ox__tls_write(
    struct ox__tls_stream *stream, const char *text, size_t len, ox_error *err);
/* Writes close_notify, the last output. */
void ox__tls_leave(struct ox__tls_stream *stream);
/* The output to be sent; returns its length. */
size_t ox__tls_out(struct ox__tls_stream *stream, char *out, size_t size);

#endif /* OX_LIB_TLS_H */
