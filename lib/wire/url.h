/* url.h - parses a URL: address, credentials, options of TLS. */
#ifndef OX_LIB_URL_H
#define OX_LIB_URL_H

#include <ox.h>
#include <stdbool.h>

struct ox__url {
    char *socket;             /* path of a unix socket, or NULL for TCP */
    char *host;               /* name or address; NULL with a socket */
    int port;                 /* 1..65535 */
    char *user;               /* NULL: none */
    char *password;           /* NULL: none */
    int db;                   /* >= 0 */
    bool tls;                 /* rediss://; what follows is NULL or false without it */
    char *tls_ca;             /* file or folder of CA certificates; NULL: the system's */
    char *tls_cert, *tls_key; /* files; NULL: none. The key may be in the certificate's file */
    char *tls_name;           /* that the server's certificate is for; NULL: the host */
    bool tls_insecure;        /* any certificate is accepted */
};

/* Parses redis://[user:password@]host[:port][/db], the same with rediss:// (TLS) and behind it
 * ?ca=PATH&cert=FILE&key=FILE&name=NAME&insecure=yes, and unix://[user:password@]/path[?db=n].
 * Percent escapes are decoded. The error text never shows a password. */
int ox__url_parse(struct ox__url *out, const char *text, ox_error *err);
/* Sets the options of TLS, which override those of the URL. */
int ox__url_set_tls(struct ox__url *url, const ox_client_options *options, ox_error *err);
int ox__url_copy(struct ox__url *out, const struct ox__url *from, ox_error *err);
void ox__url_done(struct ox__url *url);
/* "host:port" or the socket path, for messages; never longer than `size`. */
void ox__url_where(const struct ox__url *url, char *out, size_t size);

#endif /* OX_LIB_URL_H */
