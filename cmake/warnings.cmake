# The warning list (docs/architecture.md). -Werror only in the `check` preset, so that a new compiler
# does not break a user's build.
option(BITNET_WERROR "treat warnings as errors" OFF)
add_library(bitnet_warnings INTERFACE)
target_compile_options(bitnet_warnings INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
    -Wcast-qual -Wundef -Wformat=2 -Wdouble-promotion
    $<$<BOOL:${BITNET_WERROR}>:-Werror>)
