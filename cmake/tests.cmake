# Tests: one executable per tests/unit/test_*.c (cmocka), the kernel checker, and a CTest line for each.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

add_library(bitnet_test_support STATIC tests/unit/gguf_writer.c tests/unit/hf_writer.c tests/unit/load_file.c
            tests/unit/tiny_model.c)
target_include_directories(bitnet_test_support PUBLIC tests/unit core)
target_compile_definitions(bitnet_test_support PUBLIC BITNET_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(bitnet_test_support PUBLIC bitnet_native PkgConfig::CMOCKA PkgConfig::CJSON
                      PRIVATE bitnet_warnings)

file(GLOB unit_tests CONFIGURE_DEPENDS tests/unit/test_*.c tests/faults/test_*.c)
foreach(src ${unit_tests})
    get_filename_component(name ${src} NAME_WE)
    add_executable(${name} ${src})
    target_link_libraries(${name} PRIVATE bitnet_test_support bitnet_warnings)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 600) # a hang is a failure; sanitizers are slow
endforeach()

file(GLOB check_sources CONFIGURE_DEPENDS tests/kernels/*.c)
list(REMOVE_ITEM check_sources ${CMAKE_CURRENT_SOURCE_DIR}/tests/kernels/main_wasm.c)
add_executable(check_kernels ${check_sources})
target_include_directories(check_kernels PRIVATE core tests/kernels)
target_link_libraries(check_kernels PRIVATE bitnet_core m bitnet_warnings)
add_test(NAME check_kernels COMMAND check_kernels)

# Fuzzers (preset fuzz, clang): one executable per tests/fuzz/fuzz_*.c; `build/fuzz/fuzz_load -runs=100000`
option(BITNET_FUZZ "build the libFuzzer harnesses" OFF)
if(BITNET_FUZZ)
    file(GLOB fuzzers CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
    foreach(src ${fuzzers})
        get_filename_component(name ${src} NAME_WE)
        add_executable(${name} ${src})
        target_link_libraries(${name} PRIVATE bitnet_test_support bitnet_warnings)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    endforeach()
    add_executable(make_seeds tests/fuzz/make_seeds.c) # inputs to start from
    target_link_libraries(make_seeds PRIVATE bitnet_test_support bitnet_warnings)
endif()
