/* history.h: the parts of `bitnet history`; each returns the exit code. */
#ifndef BITNET_CMD_HISTORY_H
#define BITNET_CMD_HISTORY_H

int history_export(int argc, char **argv); /* history_export.c */
int history_import(int argc, char **argv); /* history_import.c */

#endif
