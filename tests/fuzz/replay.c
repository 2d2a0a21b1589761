/* Gives a fuzz target the files of a folder, one after the other: what a fuzzer has found once stays found.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static int play(const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &info) || !S_ISREG(info.st_mode)) {
        if (file) fclose(file);
        return 0;
    }
    size_t len = (size_t)info.st_size;
    uint8_t *bytes = malloc(len + 1); /* of its own size, so that a read behind the end is seen */
    int played = bytes && fread(bytes, 1, len, file) == len;
    fclose(file);
    uint8_t *exact = malloc(len ? len : 1);
    if (played && exact) {
        memcpy(exact, bytes, len);
        LLVMFuzzerTestOneInput(exact, len);
    }
    free(exact);
    free(bytes);
    return played;
}

int main(int argc, char **argv)
{
    char path[4096];
    int played = 0;
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) {
        fprintf(stderr, "usage: %s CORPUS (a folder)\n", argv[0]);
        return 2;
    }
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        played += play(path);
    }
    closedir(folder);
    printf("%d inputs\n", played);
    return played ? 0 : 1; /* an empty corpus shows nothing */
}
