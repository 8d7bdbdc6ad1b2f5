/*
 * webhook_sign.c - signatures as Standard Webhooks (standardwebhooks.com) has them: HMAC-SHA256
 * of "id.timestamp.body" with a secret that both sides know, in base64. One secret after the
 * other signs, so that a receiver may still have the old one while secrets are changed.
 */
#include "webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Bounds of the specification. */
#define KEY_MIN_BYTES 24
#define KEY_MAX_BYTES 64
#define DIGEST_BYTES 32

static const char beginning[] = "whsec_";

/* NULL unless the text is base64 of that many bytes. */
static GBytes *read_key(const char *text)
{
    static const char alphabet[] = G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "+/";
    size_t letters = strspn(text, alphabet);
    if (letters % 4 == 1 || text[letters + strspn(text + letters, "=")] != '\0') {
        return NULL;
    }
    g_autofree char *padded =
        g_strdup_printf("%.*s%.*s", (int)letters, text, (int)((4 - letters % 4) % 4), "===");
    gsize length;
    guchar *bytes = g_base64_decode(padded, &length);
    GBytes *key = g_bytes_new_take(bytes, length);
    if (length >= KEY_MIN_BYTES && length <= KEY_MAX_BYTES) {
        return key;
    }
    g_bytes_unref(key);
    return NULL;
}

bool webhook_secrets_read(struct webhook_secrets *secrets, const char *text, char **problem)
{
    g_auto(GStrv) words = g_strsplit_set(text != NULL ? text : "", " \t\r\n", -1);
    secrets->keys = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    for (char **word = words; *word != NULL; word++) {
        if (**word == '\0') {
            continue;
        }
        GBytes *key =
            g_str_has_prefix(*word, beginning) ? read_key(*word + sizeof beginning - 1) : NULL;
        if (key == NULL) { /* which is not shown */
            *problem = g_strdup_printf(
                "secret %u is not whsec_ and 24 to 64 bytes in base64", secrets->keys->len + 1);
            return false;
        }
        g_ptr_array_add(secrets->keys, key);
    }
    if (text != NULL && secrets->keys->len == 0) {
        *problem = g_strdup("there is no secret in it");
        return false;
    }
    return true;
}

void webhook_secrets_done(struct webhook_secrets *secrets)
{
    g_ptr_array_unref(secrets->keys);
    secrets->keys = NULL;
}

char *webhook_sign(const struct webhook_secrets *secrets, const char *id, int64_t timestamp_s,
    const char *body, size_t length)
{
    GString *out = g_string_new(NULL);
    g_autofree char *head = g_strdup_printf("%s.%" PRId64 ".", id, timestamp_s);
    for (guint i = 0; i < secrets->keys->len; i++) {
        gsize key_length, digest_length = DIGEST_BYTES;
        guint8 digest[DIGEST_BYTES];
        const guchar *key = g_bytes_get_data(secrets->keys->pdata[i], &key_length);
        GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA256, key, key_length);
        g_hmac_update(hmac, (const guchar *)head, (gssize)strlen(head));
        g_hmac_update(hmac, (const guchar *)body, (gssize)length);
        g_hmac_get_digest(hmac, digest, &digest_length);
        g_hmac_unref(hmac);
        g_autofree char *base64 = g_base64_encode(digest, digest_length);
        g_string_append_printf(out, "%sv1,%s", i > 0 ? " " : "", base64);
    }
    return g_string_free(out, FALSE);
}
