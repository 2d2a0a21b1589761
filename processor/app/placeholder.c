/* Keeps the layer's library non-empty. */
typedef int pql_app_is_not_empty;
