/* Keeps the layer's library non-empty. */
typedef int pql_io_is_not_empty;
