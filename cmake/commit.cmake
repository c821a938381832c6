# cmake -DSOURCE=<root> -DOUT=<file.c> -P cmake/commit.cmake: what targets/native/build_commit.h declares.
# Runs in every build, since a commit needs no configuring; the file is written only when it changes.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=9 --exclude=*
                OUTPUT_VARIABLE BITNET_COMMIT ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
if(failed OR NOT BITNET_COMMIT MATCHES "^[0-9a-f]+(-dirty)?$")
    set(BITNET_COMMIT unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT [[
#include "build_commit.h"

const char bitnet_build_commit[] = "@BITNET_COMMIT@";
]])
