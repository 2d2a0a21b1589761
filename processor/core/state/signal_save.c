#include "core/state/signal_cell.h"

#include "base/memory.h"

/* --- saved form: text length, number of entries, text, payload words, entries; times as differences. All
 * words are little endian zigzag varints, so the bytes do not depend on the machine or on capacities. --- */

static void save_words(struct pql_buf *out, const void *words, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        int64_t word;
        memcpy(&word, (const char *)words + i, sizeof word);
        pql_buf_zigzag(out, word);
    }
}

static void load_words(struct pql_reader *reader, void *words, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        int64_t word = pql_read_zigzag(reader);
        memcpy((char *)words + i, &word, sizeof word);
    }
}

/* An entry that is a text is saved as its kind and the text. False: it is none. */
static bool save_text(const struct pql_signal *signal, const char *at, struct pql_buf *out)
{
    struct pql_entry_first entry;
    if (signal->kind != PQL_SIGNAL_FIRST_VALUE) return false;
    memcpy(&entry, at, sizeof entry);
    if (entry.hash != PQL_TEXT) return false;
    pql_buf_zigzag(out, PQL_TEXT);
    pql_buf_slice(out, pql_first_value(&entry).text);
    return true;
}

/* The rest of an entry of `first W` of latest and earliest. What cannot be read becomes null, which owns
 * nothing. */
static void load_value(struct pql_reader *reader, char *at)
{
    struct pql_entry_first entry;
    memcpy(&entry, at, sizeof entry);
    int64_t kind = pql_read_zigzag(reader);
    if (kind < PQL_NULL || kind > PQL_TIME) reader->failed = true;
    entry.hash = reader->failed ? PQL_NULL : (uint64_t)kind;
    if (entry.hash == PQL_TEXT) {
        struct pql_value text = pql_text(pql_read_slice(reader));
        entry = pql_first_entry(entry.time_ms, &text);
    } else {
        load_words(reader, &entry.low, sizeof entry.low + sizeof entry.high);
    }
    memcpy(at, &entry, sizeof entry);
}

void pql_signal_save(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_buf *out)
{
    size_t fixed = pql_cell_payload_size(signal);
    size_t words = signal->has_panes ? pql_signal_rows[signal->kind].payload : fixed;
    pql_buf_varint(out, cell->text_len);
    pql_buf_varint(out, cell->n);
    if (cell->text_len) pql_buf_put(out, cell->data + fixed, cell->text_len);
    if (pql_has_end(signal))
        pql_first_save(signal, cell, out);
    else
        save_words(out, cell->data, words);
    if (signal->has_panes) pql_panes_save(signal, cell, out);
    int64_t before = 0;
    for (uint32_t i = pql_values_oldest(signal, cell); i != PQL_NO_VALUE;
         i = pql_values_newer(signal, cell, i)) {
        const char *at = pql_values_entry(signal, cell, i);
        int64_t lead; /* the time; of a set, the hash: differences wrap */
        memcpy(&lead, at, sizeof lead);
        pql_buf_zigzag(out, (int64_t)((uint64_t)lead - (uint64_t)before));
        before = lead;
        if (pql_signal_is_of_periods(signal))
            pql_buf_zigzag(out, (int64_t)pql_values_hash(signal, cell, i));
        else if (!save_text(signal, at, out))
            save_words(out, at + 8, pql_cell_entry_size(signal) - 8);
    }
}

enum { ENTRIES_MAX = 1 << 26, TEXT_MAX = 1 << 24 };

struct pql_cell *pql_signal_load(const struct pql_signal *signal, struct pql_reader *reader)
{
    uint64_t text_len = pql_read_varint(reader), n = pql_read_varint(reader);
    bool is_newest = signal->kind == PQL_SIGNAL_LATEST || signal->kind == PQL_SIGNAL_EARLIEST;
    if (reader->failed || n > ENTRIES_MAX || n > pql_reader_left(reader) ||
        (n && !pql_cell_entry_size(signal)) || text_len > TEXT_MAX || text_len > pql_reader_left(reader) ||
        (text_len && !is_newest)) {
        reader->failed = true;
        return NULL;
    }
    uint32_t capacity = pql_cell_entry_size(signal) ? pql_values_capacity(signal, (uint32_t)n) : 0;
    struct pql_cell *cell = pql_trymalloc(pql_cell_size(signal, capacity) + text_len);
    if (!cell) {
        reader->failed = true;
        return NULL;
    }
    memset(cell, 0, pql_cell_size(signal, capacity));
    cell->capacity = capacity;
    cell->n = (uint32_t)n;
    cell->text_len = (uint32_t)text_len & INT32_MAX;
    size_t words = signal->has_panes ? pql_signal_rows[signal->kind].payload : pql_cell_payload_size(signal);
    const char *text = pql_read_bytes(reader, text_len);
    if (text && text_len) memcpy(cell->data + pql_cell_payload_size(signal), text, text_len);
    if (pql_has_end(signal))
        pql_first_load(signal, cell, reader);
    else
        load_words(reader, cell->data, words);
    if (signal->has_panes) pql_panes_load(signal, cell, reader);
    uint64_t lead = 0;
    char *at = pql_cell_entries(signal, cell);
    for (uint32_t i = 0; i < cell->n; i++, at += pql_cell_entry_size(signal)) {
        lead += (uint64_t)pql_read_zigzag(reader);
        memcpy(at, &lead, sizeof lead);
        if (pql_signal_is_of_periods(signal))
            reader->failed |= (uint64_t)pql_read_zigzag(reader) != pql_values_hash(signal, cell, i);
        else if (signal->kind == PQL_SIGNAL_FIRST_VALUE)
            load_value(reader, at);
        else
            load_words(reader, at + 8, pql_cell_entry_size(signal) - 8u);
    }
    if (!reader->failed && !pql_values_thread(signal, cell)) reader->failed = true;
    bool bad_value =
        is_newest && ((const struct pql_payload_newest *)pql_cell_payload(cell))->kind > PQL_TIME;
    if (reader->failed || bad_value) {
        reader->failed = true;
        pql_signal_free(signal, cell);
        return NULL;
    }
    return cell;
}
