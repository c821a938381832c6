/* build_commit.h: which commit this was built from; build_commit.c is written by cmake/commit.cmake. */
#ifndef BITNET_BUILD_COMMIT_H
#define BITNET_BUILD_COMMIT_H

extern const char bitnet_build_commit[]; /* "2ad072e31", "2ad072e31-dirty", "unknown" without git */

#endif
