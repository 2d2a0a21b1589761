/* secrecy.h - what a process of this program shows to others on its machine: no secret in its command line,
 * no core that has its memory, no file that others may read. */
#ifndef PQL_APP_SECRECY_H
#define PQL_APP_SECRECY_H

/* First of all, before any thread. Files are 0600 and folders 0700 from here on; a crash leaves no core
 * unless somebody raises the limit again (prlimit --core=unlimited --pid …). Values of `--set` that are
 * secrets by their name, or that hold the password of a URL, are replaced in the command line that the system
 * shows, and a warning says how to give them. Returns the arguments as they were, to be freed. */
char **pql_secrecy_begin(int argc, char **argv);

#endif
