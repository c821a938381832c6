# The WebAssembly modules of one tier. A module cannot choose its instructions at run time, since
# an engine refuses a module with an opcode that it does not know; so each tier is a module of its own,
# once for one thread and once for many, and the page picks one (targets/wasm/js/features.ts).
#   build/wasm/bitnet-<tier>.mjs, .wasm       one thread
#   build/wasm/bitnet-<tier>-mt.mjs, .wasm    pthreads: needs a cross-origin isolated page
#   build/wasm/check-<tier>.mjs, .wasm        tests/kernels, one thread

set(BITNET_WASM_TIER simd128 CACHE STRING "tier of the modules: c (no SIMD), simd128 or relaxed")
set_property(CACHE BITNET_WASM_TIER PROPERTY STRINGS c simd128 relaxed)
if(NOT BITNET_WASM_TIER MATCHES "^(c|simd128|relaxed)$")
    message(FATAL_ERROR "BITNET_WASM_TIER is \"${BITNET_WASM_TIER}\"; it is c, simd128 or relaxed.")
endif()

# The optimisation level is given below, to compiler and linker apart.
set(CMAKE_C_FLAGS_RELEASE "-DNDEBUG")
set(wasm_compile -O3)
if(NOT BITNET_WASM_TIER STREQUAL c)
    list(APPEND wasm_compile -msimd128)
endif()
if(BITNET_WASM_TIER STREQUAL relaxed)
    list(APPEND wasm_compile -mrelaxed-simd)
endif()

set(wasm_link
    -sWASM_BIGINT -sMODULARIZE -sEXPORT_ES6 -sENVIRONMENT=web,worker -sFILESYSTEM=0 --no-entry
    -sALLOW_MEMORY_GROWTH -sINITIAL_MEMORY=8MB -sMAXIMUM_MEMORY=4GB -sMEMORY_GROWTH_LINEAR_STEP=4MB
    -sTOTAL_STACK=256KB)
if(BITNET_EMCC_IS_OLD)
    # Nothing may rewrite the module after wasm-ld: the binaryen of an old Emscripten knows only the draft
    # opcodes of relaxed SIMD and would make it invalid. -O1 and BigInt leave it nothing to do; the last flag
    # turns any rewriting into an error. The code is optimised by clang, at -O3, all the same.
    list(APPEND wasm_link -O1 -sERROR_ON_WASM_CHANGES_AFTER_LINK)
else()
    list(APPEND wasm_link -O3)
endif()

set(wasm_kernels)
if(NOT BITNET_WASM_TIER STREQUAL c)
    file(GLOB wasm_kernels CONFIGURE_DEPENDS core/kernels/wasm/*_simd128.c)
endif()
if(BITNET_WASM_TIER STREQUAL relaxed)
    file(GLOB relaxed_kernels CONFIGURE_DEPENDS core/kernels/wasm/*_relaxed.c)
    list(APPEND wasm_kernels ${relaxed_kernels})
endif()

# What runs once, or once a request, is made small: a module is downloaded before it does anything.
file(GLOB wasm_cold CONFIGURE_DEPENDS core/base/json.c core/format/*.c core/text/*.c core/model/*.c core/cache/*.c
     core/engine/*.c core/tracker/*.c targets/wasm/*.c)
list(APPEND wasm_cold core/backend/cpu.c core/backend/cpu_tune.c core/backend/cpu_weights.c core/kernels/tern5_pack.c)
list(FILTER wasm_cold EXCLUDE REGEX "blocks_decode\\.c$")
set_source_files_properties(${wasm_cold} PROPERTIES COMPILE_OPTIONS "-Os")
# And what has no loop over anything large, smaller still.
file(GLOB wasm_coldest CONFIGURE_DEPENDS core/cache/*.c core/engine/*.c core/tracker/*.c targets/wasm/*.c)
set_source_files_properties(${wasm_coldest} PROPERTIES COMPILE_OPTIONS "-Oz")
set_source_files_properties(targets/wasm/probe/selftest.c PROPERTIES COMPILE_OPTIONS "-Os")
# Plain kernels that nothing but the module's test of itself runs: those with a faster variant, and those without one
# that pays (core/backend/cpu_tune.c, cpu_sparse.c).
set(wasm_unused tern5_matvec tern5_unpack tern_cols tern_rows)
foreach(src ${wasm_kernels})
    string(REGEX REPLACE ".*/(.*)_[^_]*\\.c$" "\\1" slot ${src})
    list(APPEND wasm_unused ${slot})
endforeach()
foreach(slot ${wasm_unused})
    set_source_files_properties(core/kernels/c/${slot}.c PROPERTIES COMPILE_OPTIONS "-Os")
endforeach()
# Once, but over every weight of the head: vectors, and nothing more.
set_source_files_properties(core/backend/cpu_planes.c core/kernels/scan_pack.c PROPERTIES COMPILE_OPTIONS
                            "-O2;-fno-unroll-loops")

function(bitnet_wasm_core name)
    add_library(${name} STATIC ${core_sources} ${wasm_kernels} targets/wasm/os_wasm.c)
    target_include_directories(${name} PUBLIC core core/include)
    target_compile_options(${name} PUBLIC ${wasm_compile} ${ARGN})
    target_link_options(${name} INTERFACE ${wasm_link} ${ARGN})
    target_link_libraries(${name} PRIVATE bitnet_warnings)
endfunction()

function(bitnet_wasm_module name core)
    add_executable(${name} ${ARGN})
    target_link_libraries(${name} PRIVATE ${core} bitnet_warnings)
    target_include_directories(${name} PRIVATE targets)
    set_target_properties(${name} PROPERTIES SUFFIX .mjs RUNTIME_OUTPUT_DIRECTORY ${CMAKE_SOURCE_DIR}/build/wasm)
endfunction()

file(GLOB wasm_sources CONFIGURE_DEPENDS targets/wasm/*.c targets/wasm/probe/*.c targets/rates.c)
list(FILTER wasm_sources EXCLUDE REGEX "os_wasm\.c$")
set(wasm_module_link -lwebsocket.js -sEXPORTED_FUNCTIONS=_malloc,_free
    -sEXPORTED_RUNTIME_METHODS=stackSave,stackRestore)

bitnet_wasm_core(bitnet_core)
bitnet_wasm_module(bitnet-${BITNET_WASM_TIER} bitnet_core ${wasm_sources})
target_link_options(bitnet-${BITNET_WASM_TIER} PRIVATE ${wasm_module_link} -sIMPORTED_MEMORY)

# The pool's threads are made while the module loads, as many as the caller wants: a worker that is made
# later starts only when its maker returns to the event loop, which a step does not.
bitnet_wasm_core(bitnet_core_mt -pthread)
target_sources(bitnet_core_mt PRIVATE targets/os_pthread.c)
bitnet_wasm_module(bitnet-${BITNET_WASM_TIER}-mt bitnet_core_mt ${wasm_sources})
target_link_options(bitnet-${BITNET_WASM_TIER}-mt PRIVATE ${wasm_module_link},PThread -Wno-pthreads-mem-growth
    "-sPTHREAD_POOL_SIZE=Module[\"pthreadPoolSize\"]" -sPTHREAD_POOL_SIZE_STRICT=2
    -sDEFAULT_PTHREAD_STACK_SIZE=256KB)

file(GLOB check_sources CONFIGURE_DEPENDS tests/kernels/*.c)
list(REMOVE_ITEM check_sources ${CMAKE_CURRENT_SOURCE_DIR}/tests/kernels/main.c)
bitnet_wasm_module(check-${BITNET_WASM_TIER} bitnet_core ${check_sources})
target_include_directories(check-${BITNET_WASM_TIER} PRIVATE tests/kernels)
target_link_options(check-${BITNET_WASM_TIER} PRIVATE -sEXPORTED_FUNCTIONS=_bitnet_check_kernels)
