/* The editions of a pipeline, by the hash of their texts. */
#include "app/task.h"

#include "base/log.h"
#include <inttypes.h>
#include <stdlib.h>

enum pql_revising pql_revise(const char *own_hash, int64_t own_revision, const char *wanted_hash,
                             int64_t wanted_revision)
{
    bool is_same = strcmp(own_hash, wanted_hash) == 0;
    if (wanted_revision == own_revision) return is_same ? PQL_REVISING_NOTHING : PQL_REVISING_REFUSE;
    if (wanted_revision < own_revision) return is_same ? PQL_REVISING_NOTHING : PQL_REVISING_STAY;
    return is_same ? PQL_REVISING_NUMBER : PQL_REVISING_CHANGE;
}

/* Under the lock. */
static const struct pql_edition *find(const struct pql_pipeline *p, const char *hash)
{
    for (size_t i = 0; i < p->editions_count; i++)
        if (strcmp(p->editions[i]->hash, hash) == 0) return p->editions[i];
    return NULL;
}

const struct pql_edition *pql_edition_keep(struct pql_pipeline *p, struct pql_edition *edition)
{
    pql_checkpoint_program_hash(pql_program_text(edition->program), edition->hash);
    const struct pql_edition *known = find(p, edition->hash);
    if (known) {
        if (edition->free && known != edition) edition->free(edition);
        return known;
    }
    p->editions =
        pql_xgrow(p->editions, &p->editions_capacity, p->editions_count + 1, sizeof(struct pql_edition *));
    p->editions[p->editions_count++] = edition;
    return edition;
}

int pql_edition_of(struct pql_pipeline *p, struct pql_slice text, const struct pql_edition **out,
                   struct pql_err *err)
{
    char hash[33];
    struct pql_edition *made = NULL;
    pql_checkpoint_program_hash(text, hash);
    pql_lock(p);
    *out = find(p, hash);
    pql_unlock(p);
    if (*out) return 0;
    if (!p->conf->compile)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "the state is of a program that is not this configuration's");
    if (p->conf->compile(p->conf->compile_context, text, &made, err)) return -1;
    pql_lock(p);
    *out = pql_edition_keep(p, made);
    pql_unlock(p);
    return 0;
}

void pql_editions_free(struct pql_pipeline *p)
{
    for (size_t i = 0; i < p->editions_count; i++)
        if (p->editions[i]->free) p->editions[i]->free(p->editions[i]);
    free(p->editions);
}

void pql_pipeline_revise(struct pql_pipeline *p, struct pql_edition *edition, int64_t revision,
                         int64_t backfill_from)
{
    pql_lock(p);
    p->wanted = pql_edition_keep(p, edition);
    p->wanted_revision = revision;
    p->wanted_from = backfill_from;
    p->wanted_serial++;
    pql_wake_all(p);
    pql_unlock(p);
}

const struct pql_program *pql_pipeline_program(struct pql_pipeline *p, int64_t *revision)
{
    pql_lock(p);
    const struct pql_program *program = p->wanted->program;
    *revision = p->wanted_revision;
    pql_unlock(p);
    return program;
}
