# The test programs that need the library and nothing else. They are built wherever the library is,
# cross-built too (preset aarch64).
file(GLOB check_sources CONFIGURE_DEPENDS tests/kernels/*.c)
list(REMOVE_ITEM check_sources ${CMAKE_CURRENT_SOURCE_DIR}/tests/kernels/main_wasm.c)
add_executable(check_kernels ${check_sources})
target_include_directories(check_kernels PRIVATE core tests/kernels)
target_link_libraries(check_kernels PRIVATE bitnet_core m bitnet_warnings)
add_test(NAME check_kernels COMMAND check_kernels)

add_executable(logits_hash tests/golden/logits_hash.c)
target_include_directories(logits_hash PRIVATE core)
target_link_libraries(logits_hash PRIVATE bitnet_core bitnet_warnings)
