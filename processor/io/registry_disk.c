#include "io/registry_disk.h"

#include "base/buf.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { FILE_MAX = (1 << 22) + 100 };
static const char header_format[] = "pqlstream-schema 1 %016" PRIx64 " %zu\n";

struct pql_disk {
    char *folder;
};

static int make_folder(const char *path, struct pql_err *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) return 0;
    return PQL_FAIL(err, PQL_ERR_CONFIG, "registry.cache: %s: %s", path, strerror(errno));
}

struct pql_disk *pql_disk_new(const char *cache_dir, const char *url, struct pql_err *err)
{
    struct pql_buf path = {0};
    pql_buf_printf(&path, "%s/%016" PRIx64, cache_dir, (uint64_t)XXH3_64bits(url, strlen(url)));
    pql_buf_u8(&path, 0);
    if (make_folder(cache_dir, err) || make_folder(path.ptr, err)) {
        pql_buf_deinit(&path);
        return NULL;
    }
    struct pql_disk *disk = pql_xmalloc(sizeof *disk);
    disk->folder = path.ptr;
    return disk;
}

void pql_disk_free(struct pql_disk *disk)
{
    if (disk) free(disk->folder);
    free(disk);
}

/* "<folder>/id-17", in which a space of the key's text is a dash. */
static char *path_of(const struct pql_disk *disk, const struct pql_schema_key *key, const char *suffix)
{
    char name[PQL_SCHEMA_KEY_TEXT_MAX];
    pql_schema_key_text(key, name);
    for (char *at = name; *at; at++)
        if (*at == ' ') *at = '-';
    struct pql_buf path = {0};
    pql_buf_printf(&path, "%s/%s%s", disk->folder, name, suffix);
    pql_buf_u8(&path, 0);
    return path.ptr;
}

/* The whole file, at most FILE_MAX; NULL with errno, 0 where it is longer. */
static char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "re");
    if (!file) return NULL;
    struct pql_buf bytes = {0};
    size_t n;
    errno = 0;
    while (bytes.len <= FILE_MAX && (n = fread(pql_buf_reserve(&bytes, 65536), 1, 65536, file)) > 0)
        bytes.len += n;
    if (ferror(file) || bytes.len > FILE_MAX) pql_buf_deinit(&bytes);
    fclose(file);
    *len = bytes.len;
    return bytes.ptr;
}

int pql_disk_read(struct pql_disk *disk, const struct pql_schema_key *key, char **text, size_t *len,
                  struct pql_err *err)
{
    int result = -1;
    size_t size = 0;
    char *path = path_of(disk, key, ""), *bytes = read_file(path, &size), *expected = NULL;
    if (!bytes) {
        PQL_FAIL(err, errno == ENOENT ? PQL_ERR_RETRY : PQL_ERR_RECORD, "%s: %s", path,
                 errno ? strerror(errno) : "too long");
        goto out;
    }
    char *end = memchr(bytes, '\n', size);
    size_t header_len = end ? (size_t)(end - bytes) + 1 : size, text_len = size - header_len;
    struct pql_buf header = {0};
    pql_buf_printf(&header, header_format, (uint64_t)XXH3_64bits(bytes + header_len, text_len), text_len);
    expected = header.ptr;
    if (!end || header.len != header_len || memcmp(header.ptr, bytes, header_len) != 0) {
        PQL_FAIL(err, PQL_ERR_RECORD, "%s is damaged: its header does not agree with its text", path);
        goto out;
    }
    *text = pql_xstrndup(bytes + header_len, text_len);
    *len = text_len;
    result = 0;
out:
    free(expected);
    free(bytes);
    free(path);
    return result;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        bytes += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0;
}

int pql_disk_write(struct pql_disk *disk, const struct pql_schema_key *key, struct pql_slice text,
                   struct pql_err *err)
{
    char own[32];
    snprintf(own, sizeof own, ".%ld.part", (long)getpid());
    char *path = path_of(disk, key, ""), *part = path_of(disk, key, own);
    const char *step = "write";
    struct pql_buf bytes = {0};
    pql_buf_printf(&bytes, header_format, (uint64_t)XXH3_64bits(text.ptr, text.len), text.len);
    pql_buf_put(&bytes, text.ptr, text.len);
    int result = -1, fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        step = "open";
        goto out;
    }
    bool is_written = write_all(fd, bytes.ptr, bytes.len);
    if (close(fd) != 0 || !is_written) goto out;
    step = "rename";
    result = rename(part, path);
out:
    if (result) {
        PQL_FAIL(err, PQL_ERR_RETRY, "%s: %s: %s", path, step, strerror(errno));
        unlink(part);
    }
    pql_buf_deinit(&bytes);
    free(part);
    free(path);
    return result;
}
