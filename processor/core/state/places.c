#include "core/state/places.h"

#include "base/memory.h"
#include <stdlib.h>

static struct pql_places_slot *slot_of(const struct pql_places *places, uint64_t hash)
{
    size_t mask = places->slots_capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask)
        if (!places->slots[i].first || places->slots[i].hash == hash) return &places->slots[i];
}

static void grow(struct pql_places *places)
{
    struct pql_places old = *places;
    if (places->ids_count < places->slots_capacity / 2) return;
    places->slots_capacity = old.slots_capacity ? old.slots_capacity * 2 : 64;
    places->slots = pql_xcalloc(places->slots_capacity, sizeof *places->slots);
    for (size_t i = 0; i < old.slots_capacity; i++)
        if (old.slots[i].first) *slot_of(places, old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

const struct pql_places_node *pql_places_of(const struct pql_places *places, uint64_t hash)
{
    uint32_t first = places->slots_capacity ? slot_of(places, hash)->first : 0;
    return first ? &places->nodes[first - 1] : NULL;
}

const struct pql_places_node *pql_places_next(const struct pql_places *places,
                                              const struct pql_places_node *node)
{
    return node->next ? &places->nodes[node->next - 1] : NULL;
}

static bool has(const struct pql_places *places, uint64_t hash, uint32_t account)
{
    const struct pql_places_node *node = pql_places_of(places, hash);
    while (node && node->account != account) node = pql_places_next(places, node);
    return node != NULL;
}

void pql_places_add(struct pql_places *places, uint64_t hash, uint32_t account)
{
    if (has(places, hash, account)) return;
    grow(places);
    struct pql_places_slot *slot = slot_of(places, hash);
    places->nodes =
        pql_xgrow(places->nodes, &places->nodes_capacity, places->nodes_count + 1, sizeof *places->nodes);
    places->ids_count += !slot->first;
    places->nodes[places->nodes_count++] = (struct pql_places_node){account, slot->first};
    *slot = (struct pql_places_slot){hash, (uint32_t)places->nodes_count};
}

void pql_places_drop(struct pql_places *places)
{
    free(places->slots);
    free(places->nodes);
    *places = (struct pql_places){0};
}

size_t pql_places_bytes(const struct pql_places *places)
{
    return pql_memory_cost(places->slots_capacity * sizeof *places->slots) +
           pql_memory_cost(places->nodes_capacity * sizeof *places->nodes);
}
