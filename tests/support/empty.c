/* The library needs one file even where no other is there. */
typedef int pql_test_support_is_not_empty;
