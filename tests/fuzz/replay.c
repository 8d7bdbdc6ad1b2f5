/*
 * replay.c - runs a fuzz target once over each file that is named, without libFuzzer: so that
 * no target rots, and what was found once stays mended. A target that objects ends the program
 * by a signal.
 */
#include "fuzz.h"

static bool read_file(const char *path, uint8_t **bytes, size_t *size)
{
    FILE *file = fopen(path, "rb");
    size_t room = 64 * 1024;
    *bytes = malloc(room);
    *size = file != NULL && *bytes != NULL ? fread(*bytes, 1, room, file) : 0;
    bool whole = file != NULL && *bytes != NULL && feof(file) && !ferror(file);
    if (file != NULL) {
        fclose(file);
    }
    return whole;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        uint8_t *bytes = NULL;
        size_t size = 0;
        if (!read_file(argv[i], &bytes, &size)) {
            fprintf(stderr, "%s: cannot be read, or has 64 KB and more\n", argv[i]);
            free(bytes);
            return 1;
        }
        fprintf(stderr, "%s\n", argv[i]); /* the last one is the one that did it */
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
    }
    printf("%d inputs passed\n", argc - 1);
    return argc > 1 ? 0 : 2;
}
