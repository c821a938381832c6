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

include(check)

# Tests that start no thread. The thread sanitizer has nothing to find in them and would take half of its time
# for them, so ./test leaves this label out there; a test that is not listed runs everywhere.
set(single_threaded
    check_kernels test_alerts test_ask test_blocks test_cache test_chat test_conversation test_convert
    test_convert_folder test_convert_refuse test_cores test_dir_build test_gguf test_gguf_flaws
    test_gguf_refuse test_gguf_write test_hf test_hf_refuse test_hf_tokenizer test_hf_vectors test_histogram
    test_http_head test_http_token test_hub test_json test_leak test_lookup test_monitor test_monitor_nvml
    test_op_stats test_op_trend test_open test_overhead test_perplexity test_pretok test_prometheus
    test_resume test_safetensors test_sampler test_sha256 test_speculation test_spm test_state test_stats
    test_stop test_store test_store_crash test_store_file test_stream test_ternary test_tokenizer
    test_tokenizer_refuse test_tokenizer_vectors test_utf8)
foreach(name ${single_threaded})
    target_sources(${name} PRIVATE tests/unit/no_threads.c)
    target_link_options(${name} PRIVATE -Wl,--wrap=pthread_create)
    set_tests_properties(${name} PROPERTIES LABELS single-threaded)
endforeach()

# GPUs of the tests: a management library that fails where it is told to; and a getrusage that may.
add_library(fake_nvml MODULE tests/unit/fake_nvml.c)
target_link_libraries(fake_nvml PRIVATE bitnet_warnings)
add_dependencies(test_monitor_nvml fake_nvml)
target_compile_definitions(test_monitor_nvml PRIVATE FAKE_NVML="$<TARGET_FILE:fake_nvml>")
target_link_options(test_monitor_here PRIVATE -Wl,--wrap=getrusage)

# Timing of every kernel (docs/bench.md); the test asks only whether each variant runs and prints a row.
file(GLOB bench_sources CONFIGURE_DEPENDS bench/kernels/*.c)
add_executable(bench_kernels ${bench_sources})
target_include_directories(bench_kernels PRIVATE bench/kernels core targets/native)
target_link_libraries(bench_kernels PRIVATE bitnet_native m bitnet_warnings)
add_test(NAME bench_kernels COMMAND bench_kernels --quick)

# What the tracker costs, for callgrind (tests/callgrind/run.py).
add_executable(tracker_cost tests/callgrind/tracker_cost.c)
target_link_libraries(tracker_cost PRIVATE bitnet_test_support bitnet_warnings)

# A swarm for the hub (docs/bench.md); tests/js/serve/load.test.mjs runs it for two seconds.
file(GLOB hub_bench_sources CONFIGURE_DEPENDS bench/hub/*.c)
add_executable(bench_hub ${hub_bench_sources})
target_link_libraries(bench_hub PRIVATE bitnet_core bitnet_warnings)

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
