/* tls.c - TLS by OpenSSL over memory; see tls.h. */
#include "wire/tls.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/proverr.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct ox__tls {
    SSL_CTX *context;
    SSL_SESSION *session; /* NULL: none yet */
    char *name;           /* that the certificate must be for */
    bool is_address, verifies;
};

struct ox__tls_stream {
    SSL *ssl;
    BIO *in, *out; /* the stream's, through `ssl` */
    struct ox__tls *tls;
};

/* ---- why not ----------------------------------------------------------------------------- */

static int fail_certificate(const struct ox__tls *tls, long problem, ox_error *err)
{
    switch (problem) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return ox__fail(err, OX_ETLS, "its certificate has expired");
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return ox__fail(err, OX_ETLS,
            "its certificate is not valid yet (is the clock of this machine right?)");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return ox__fail(
            err, OX_ETLS, "wrong name: its certificate is not for %.100s", tls->name);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return ox__fail(
            err, OX_ETLS, "unknown authority: its certificate is not signed by a trusted CA");
    default:
        return ox__fail(err, OX_ETLS, "its certificate is refused: %s",
            X509_verify_cert_error_string(problem));
    }
}

static const struct {
    int reason;
    const char *text;
} refusals[] = {
    { SSL_R_WRONG_VERSION_NUMBER, "the server does not speak TLS there" },
    { SSL_R_PACKET_LENGTH_TOO_LONG, "the server does not speak TLS there" },
    { SSL_R_HTTP_REQUEST, "the server does not speak TLS there" },
    { SSL_R_UNSUPPORTED_PROTOCOL, "the server speaks no TLS 1.2 or later" },
    { SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the server speaks no version of TLS that we speak" },
    { SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the server requires a client certificate" },
    { SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the server refuses: it requires a client "
                                           "certificate, or ciphers that we do not have" },
    { SSL_R_TLSV1_ALERT_UNKNOWN_CA,
        "the server refuses the client certificate: unknown authority" },
    { SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
        "the server refuses the client certificate: expired" },
    { SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED,
        "the server refuses the client certificate: revoked" },
    { SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the server refuses the client certificate" },
    { SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the server refuses the client certificate" },
    { SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "the server refuses the client certificate" },
};

static int fail_tls(const struct ox__tls_stream *stream, ox_error *err)
{
    unsigned long problem = ERR_peek_error();
    int reason = ERR_GET_REASON(problem);
    if (ERR_GET_LIB(problem) != ERR_LIB_SSL) {
        const char *text = ERR_reason_error_string(problem);
        return ox__fail(err, OX_ETLS, "TLS failed: %s", text != NULL ? text : "unknown reason");
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        return fail_certificate(stream->tls, SSL_get_verify_result(stream->ssl), err);
    }
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].reason == reason) {
            return ox__fail(err, OX_ETLS, "%s", refusals[i].text);
        }
    }
    return ox__fail(err, OX_ETLS, "TLS failed: %s", ERR_reason_error_string(problem));
}

/* ---- settings ---------------------------------------------------------------------------- */

#define NEEDS_PASSWORD "it has a password; write one without by openssl pkey"

/* What OpenSSL says of a file in words that only its authors know. */
static const struct {
    int lib, reason;
    const char *text;
} bad_files[] = {
    { ERR_LIB_PEM, PEM_R_NO_START_LINE, "it is not a PEM file of that kind" },
    { ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED, "it is not a PEM file of that kind" },
    { ERR_LIB_PEM, PEM_R_BAD_DECRYPT, NEEDS_PASSWORD },
    { ERR_LIB_PROV, PROV_R_BAD_DECRYPT, NEEDS_PASSWORD },
    { ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH, "it does not belong to the certificate" },
};

/* The first problem with a text of ours, or else what was said last. */
static const char *file_problem(void)
{
    const char *text = NULL;
    unsigned long problem;
    while ((problem = ERR_get_error()) != 0) {
        for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
            if (ERR_GET_LIB(problem) == bad_files[i].lib &&
                ERR_GET_REASON(problem) == bad_files[i].reason) {
                ERR_clear_error();
                return bad_files[i].text;
            }
        }
        text = ERR_reason_error_string(problem);
    }
    return text != NULL ? text : "unknown reason";
}

static int fail_file(ox_error *err, const char *what, const char *path)
{
    const char *text = file_problem();
    struct stat info;
    if (stat(path, &info) < 0) {
        text = strerror(errno);
    }
    return ox__fail(err, OX_EINVAL, "TLS: cannot use the %s %.100s: %s", what, path, text);
}

static int trust(const struct ox__tls *tls, const struct ox__url *url, ox_error *err)
{
    struct stat info;
    if (url->tls_ca == NULL) {
        return SSL_CTX_set_default_verify_paths(tls->context) == 1
                   ? 0
                   : ox__fail(err, OX_EINVAL, "TLS: cannot read the system's authorities");
    }
    bool folder = stat(url->tls_ca, &info) == 0 && S_ISDIR(info.st_mode);
    int good = folder ? SSL_CTX_load_verify_dir(tls->context, url->tls_ca)
                      : SSL_CTX_load_verify_file(tls->context, url->tls_ca);
    return good == 1 ? 0 : fail_file(err, folder ? "CA folder" : "CA file", url->tls_ca);
}

/* Never prompts for a password. */
static int no_password(char *out, int size, int writes, void *arg)
{
    (void)out;
    (void)size;
    (void)writes;
    (void)arg;
    return 0;
}

static int identify(const struct ox__tls *tls, const struct ox__url *url, ox_error *err)
{
    const char *key = url->tls_key != NULL ? url->tls_key : url->tls_cert;
    if (url->tls_cert == NULL) {
        return url->tls_key == NULL
                   ? 0
                   : ox__fail(err, OX_EINVAL, "TLS: a key needs its certificate");
    }
    SSL_CTX_set_default_passwd_cb(tls->context, no_password);
    if (SSL_CTX_use_certificate_chain_file(tls->context, url->tls_cert) != 1) {
        return fail_file(err, "certificate", url->tls_cert);
    }
    if (SSL_CTX_use_PrivateKey_file(tls->context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(tls->context) != 1) {
        return fail_file(err, "key", key);
    }
    return 0;
}

/* Keeps the session for resumption. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct ox__tls *tls = SSL_get_app_data(ssl);
    SSL_SESSION_free(tls->session);
    tls->session = session;
    return 1;
}

static bool is_address(const char *name)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

int ox__tls_new(struct ox__tls **out, const struct ox__url *url, ox_error *err)
{
    struct ox__tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return ox__fail_memory(err);
    }
    ERR_clear_error();
    tls->name = strdup(url->tls_name != NULL ? url->tls_name : url->host);
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->name == NULL || tls->context == NULL) {
        ox__tls_free(tls);
        return ox__fail_memory(err);
    }
    tls->is_address = is_address(tls->name);
    tls->verifies = !url->tls_insecure;
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(
        tls->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls->context, on_session);
    SSL_CTX_set_verify(tls->context, tls->verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    int rc = tls->verifies ? trust(tls, url, err) : 0;
    if (rc == 0) {
        rc = identify(tls, url, err);
    }
    if (rc < 0) {
        ox__tls_free(tls);
        return rc;
    }
    *out = tls;
    return 0;
}

void ox__tls_free(struct ox__tls *tls)
{
    if (tls != NULL) {
        SSL_SESSION_free(tls->session);
        SSL_CTX_free(tls->context);
        free(tls->name);
        free(tls);
    }
}

/* ---- streams ----------------------------------------------------------------------------- */

static bool expect_name(const struct ox__tls *tls, SSL *ssl)
{
    if (tls->is_address) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), tls->name) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, tls->name) == 1 && SSL_set_tlsext_host_name(ssl, tls->name) == 1;
}

struct ox__tls_stream *ox__tls_open(struct ox__tls *tls)
{
    struct ox__tls_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return NULL;
    }
    ERR_clear_error();
    stream->tls = tls;
    stream->ssl = SSL_new(tls->context);
    stream->in = BIO_new(BIO_s_mem());
    stream->out = BIO_new(BIO_s_mem());
    if (stream->ssl == NULL || stream->in == NULL || stream->out == NULL ||
        !expect_name(tls, stream->ssl)) {
        BIO_free(stream->in);
        BIO_free(stream->out);
        SSL_free(stream->ssl);
        free(stream);
        return NULL;
    }
    /* An empty BIO means "retry", not end of file. */
    BIO_set_mem_eof_return(stream->in, -1);
    SSL_set_bio(stream->ssl, stream->in, stream->out);
    SSL_set_app_data(stream->ssl, tls);
    SSL_set_connect_state(stream->ssl);
    if (tls->session != NULL && SSL_SESSION_is_resumable(tls->session)) {
        SSL_set_session(stream->ssl, tls->session);
    }
    return stream;
}

void ox__tls_close(struct ox__tls_stream *stream)
{
    if (stream != NULL) {
        /* Else OpenSSL does not resume a session that ended without close_notify. */
        SSL_set_quiet_shutdown(stream->ssl, 1);
        SSL_shutdown(stream->ssl);
        SSL_free(stream->ssl);
        free(stream);
    }
}

int ox__tls_shake(struct ox__tls_stream *stream, ox_error *err)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(stream->ssl);
    if (rc == 1) {
        return 1;
    }
    return SSL_get_error(stream->ssl, rc) == SSL_ERROR_WANT_READ ? 0 : fail_tls(stream, err);
}

int ox__tls_feed(struct ox__tls_stream *stream, const char *bytes, size_t len, ox_error *err)
{
    return BIO_write(stream->in, bytes, (int)len) == (int)len ? 0 : ox__fail_memory(err);
}

/* The meaning of a call that transferred nothing. */
static ssize_t nothing(const struct ox__tls_stream *stream, int rc, ox_error *err)
{
    switch (SSL_get_error(stream->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return OX_ECLOSED;
    default:
        return fail_tls(stream, err);
    }
}

ssize_t ox__tls_read(struct ox__tls_stream *stream, char *out, size_t size, ox_error *err)
{
    ERR_clear_error();
    int n = SSL_read(stream->ssl, out, size > INT_MAX ? INT_MAX : (int)size);
    return n > 0 ? n : nothing(stream, n, err);
}

ssize_t ox__tls_write(
    struct ox__tls_stream *stream, const char *text, size_t len, ox_error *err)
{
    ERR_clear_error();
    int n = SSL_write(stream->ssl, text, len > INT_MAX ? INT_MAX : (int)len);
    return n > 0 ? n : nothing(stream, n, err);
}

void ox__tls_leave(struct ox__tls_stream *stream)
{
    ERR_clear_error();
    SSL_shutdown(stream->ssl);
}

size_t ox__tls_out(struct ox__tls_stream *stream, char *out, size_t size)
{
    int n = BIO_read(stream->out, out, size > INT_MAX ? INT_MAX : (int)size);
    return n > 0 ? (size_t)n : 0;
}
