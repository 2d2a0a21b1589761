/* registry_disk.h - copies of schemas in files, so that a restart survives a registry that is away.
 *
 *   <cache_dir>/<hash of the registry's URL>/id-17      pqlstream-schema 1 <XXH3 of text> <length of text> LF
 * text
 *
 * A file appears whole (written beside, then renamed) and is believed only if header, length and hash agree.
 * Thread: one at a time; several processes may share a folder. */
#ifndef PQL_IO_REGISTRY_DISK_H
#define PQL_IO_REGISTRY_DISK_H

#include "core/wire/framing.h"

struct pql_disk;

/* Makes the folder. Class PQL_ERR_CONFIG. */
struct pql_disk *pql_disk_new(const char *cache_dir, const char *url, struct pql_err *err) PQL_CHECKED;
void pql_disk_free(struct pql_disk *disk);

/* The text, NUL-terminated beyond its length; the caller frees it. Class PQL_ERR_RETRY: there is none;
 * PQL_ERR_RECORD: there is one and it is damaged. */
int pql_disk_read(struct pql_disk *disk, const struct pql_schema_key *key, char **text, size_t *len,
                  struct pql_err *err) PQL_CHECKED;
int pql_disk_write(struct pql_disk *disk, const struct pql_schema_key *key, struct pql_slice text,
                   struct pql_err *err) PQL_CHECKED;

#endif
