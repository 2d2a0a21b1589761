#include <stdio.h>

int main(int argc, char **argv)
{
    (void)argv;
    fprintf(stderr, "pqlstream " PQL_VERSION "\n");
    return argc > 1 ? 2 : 0;
}
