/* cmd.h: the verbs. Each returns the process's exit code (sysexits; 130 when interrupted). */
#ifndef BITNET_CMD_H
#define BITNET_CMD_H

#define VERB(name, summary) int cmd_##name(int argc, char **argv);
#include "commands.def"
#undef VERB

#endif
