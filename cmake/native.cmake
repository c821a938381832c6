# The native executable, the tests and install.

option(BITNET_CUDA "build the CUDA backend where nvcc is found" OFF)
if(BITNET_CUDA)
    message(STATUS "CUDA: this version has no CUDA backend yet; building without it")
endif()

# --- the executable ------------------------------------------------------------------------------
# libwebsockets: HTTP/1.1 and websocket, Debian's 4.1.6. cJSON: control messages, Debian's 1.7.15 with
# its security patches. Both through pkg-config; without libwebsockets there is no `bitnet serve`.
find_package(PkgConfig REQUIRED)
pkg_check_modules(LWS REQUIRED IMPORTED_TARGET libwebsockets>=4.1)
pkg_check_modules(CJSON REQUIRED IMPORTED_TARGET libcjson>=1.7.15)
# SQLite: the history of the hub, 3.37 or newer for STRICT tables. libpq: the same on a PostgreSQL server, optional.
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.37)
pkg_check_modules(LIBPQ IMPORTED_TARGET libpq>=14)
if(NOT LIBPQ_FOUND)
    message(STATUS "libpq >= 14 (Debian: libpq-dev) was not found; the history is kept in SQLite only")
endif()
# libedit: line editing and history of `bitnet chat`, BSD licence, Debian's 3.1 (readline is GPL).
# Optional: without it the terminal's own line editing has to do.
pkg_check_modules(LIBEDIT IMPORTED_TARGET libedit>=3.1)

set(BITNET_DEFAULT_MODEL ${CMAKE_CURRENT_SOURCE_DIR}/models/bitnet-tales/bitnet-tales.i2_s.gguf)
file(GLOB native_sources CONFIGURE_DEPENDS targets/native/*.c targets/native/cmd/*.c
     targets/native/http/*.c targets/native/dash/*.c targets/native/probe/*.c)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    file(GLOB peak_sources CONFIGURE_DEPENDS targets/native/probe/peak_*.c)
    bitnet_isa_flags(${peak_sources})
else()
    list(FILTER native_sources EXCLUDE REGEX "/peak_[^/]*\\.c$")
endif()
list(FILTER native_sources EXCLUDE REGEX "/os_[^/]*\\.c$") # the library's
list(REMOVE_ITEM native_sources ${CMAKE_CURRENT_SOURCE_DIR}/targets/native/main.c)
if(NOT LIBPQ_FOUND)
    list(FILTER native_sources EXCLUDE REGEX "/store_postgres\\.c$")
endif()
set(commit_source ${CMAKE_CURRENT_BINARY_DIR}/build_commit.c)
add_custom_target(bitnet_commit BYPRODUCTS ${commit_source}
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_CURRENT_SOURCE_DIR} -DOUT=${commit_source}
            -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/commit.cmake)
add_library(bitnet_native STATIC ${native_sources} ${commit_source} targets/rates.c targets/native/model_embedded.S)
add_dependencies(bitnet_native bitnet_commit)
set_source_files_properties(targets/native/model_embedded.S PROPERTIES
    COMPILE_DEFINITIONS "MODEL_PATH=\"${BITNET_DEFAULT_MODEL}\"" OBJECT_DEPENDS ${BITNET_DEFAULT_MODEL})
target_include_directories(bitnet_native PUBLIC targets/native targets core)
target_link_libraries(bitnet_native PUBLIC bitnet_core PkgConfig::LWS PkgConfig::CJSON PkgConfig::SQLITE ${CMAKE_DL_LIBS}
                      PRIVATE bitnet_warnings)
if(LIBPQ_FOUND)
    target_compile_definitions(bitnet_native PUBLIC BITNET_POSTGRES)
    target_link_libraries(bitnet_native PUBLIC PkgConfig::LIBPQ)
endif()
if(LIBEDIT_FOUND)
    target_compile_definitions(bitnet_native PRIVATE BITNET_LIBEDIT)
    target_link_libraries(bitnet_native PRIVATE PkgConfig::LIBEDIT)
endif()
add_executable(bitnet targets/native/main.c)
target_link_libraries(bitnet PRIVATE bitnet_native bitnet_warnings)

# --- tests ---------------------------------------------------------------------------------------
option(BITNET_TESTS "build the tests" ON)
if(BITNET_TESTS)
    enable_testing()
    include(tests)
endif()

# --- install: library, headers, executable, page, pkg-config and CMake package --------------------
include(package)
