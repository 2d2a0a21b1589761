/* qualify.c - qualifies events from standard input: one JSON object a line in, one record a line out.
 *
 *     cc qualify.c -o qualify $(pkg-config --cflags --libs pqlstream)
 *     ./qualify first.conf [STATE] <events.jsonl
 *
 * With a file STATE it goes on where the last call ended, and leaves there where the next one begins. */
#include <pqlstream.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(void *context, const struct pqlstream_record *record)
{
    (void)context;
    if (record->outputs & PQLSTREAM_TRANSITION) puts(record->json);
}

static int fail(const char *place, struct pqlstream *stream)
{
    fprintf(stderr, "%s: %s\n", place, pqlstream_error(stream));
    return -1;
}

static int restore(struct pqlstream *stream, const char *path)
{
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (!file) return 0; /* the first call */
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(size + 1);
    size_t len = fread(bytes, 1, size, file);
    int failed = pqlstream_restore(stream, bytes, len);
    free(bytes);
    fclose(file);
    return failed ? fail(path, stream) : 0;
}

static int save(struct pqlstream *stream, const char *path)
{
    const void *bytes;
    size_t len;
    if (!path) return 0;
    if (pqlstream_save(stream, &bytes, &len)) return fail(path, stream);
    FILE *file = fopen(path, "wb");
    int failed = !file || fwrite(bytes, 1, len, file) != len;
    if (file) failed |= fclose(file);
    if (failed) perror(path);
    return failed ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct pqlstream *stream = pqlstream_new(print, NULL);
    const char *config = argc > 1 ? argv[1] : "first.conf", *state = argc > 2 ? argv[2] : NULL;
    static char line[1 << 16];
    int failed = pqlstream_open_file(stream, config) ? fail("definitions", stream) : restore(stream, state);
    while (!failed && fgets(line, sizeof line, stdin))
        if (pqlstream_event(stream, NULL, line, strcspn(line, "\n"))) fail("refused", stream);
    if (!failed) failed = save(stream, state);
    pqlstream_free(stream);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
