/*
 * image_sum.c - SHA-256 sums: what a file holds, whatever its name.
 *
 * libcrypto's, which uses the processor's own instructions: a photo of 4 MB takes it 3 ms.
 */
#include "handlers/image_parts.h"

#include <errno.h>
#include <openssl/evp.h>
#include <unistd.h>

enum { BLOCK_BYTES = 65536, SUM_BYTES = 32 };

static void write_hex(const unsigned char *raw, char sum[IMAGE_SHA256])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SUM_BYTES; i++) {
        sum[2 * i] = digits[raw[i] >> 4];
        sum[2 * i + 1] = digits[raw[i] & 15];
    }
    sum[2 * SUM_BYTES] = '\0';
}

int image_sha256(const void *data, size_t bytes, char sum[IMAGE_SHA256])
{
    unsigned char raw[EVP_MAX_MD_SIZE] = { 0 };
    if (!EVP_Digest(data, bytes, raw, NULL, EVP_sha256(), NULL)) {
        return -ENOMEM;
    }
    write_hex(raw, sum);
    return 0;
}

static int add_file(EVP_MD_CTX *sums, int fd)
{
    char block[BLOCK_BYTES];
    off_t at = 0;
    for (;;) {
        ssize_t len = pread(fd, block, sizeof block, at);
        if (len <= 0) {
            return len < 0 ? -errno : 0;
        }
        if (!EVP_DigestUpdate(sums, block, (size_t)len)) {
            return -ENOMEM;
        }
        at += len;
    }
}

int image_sha256_file(int fd, char sum[IMAGE_SHA256])
{
    unsigned char raw[EVP_MAX_MD_SIZE] = { 0 };
    EVP_MD_CTX *sums = EVP_MD_CTX_new();
    int error = sums == NULL || !EVP_DigestInit_ex(sums, EVP_sha256(), NULL)
                    ? -ENOMEM
                    : add_file(sums, fd);
    if (!error && !EVP_DigestFinal_ex(sums, raw, NULL)) {
        error = -ENOMEM;
    }
    EVP_MD_CTX_free(sums);
    write_hex(raw, sum);
    return error;
}
