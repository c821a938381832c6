# Toolchain file of the wasm presets: finds Emscripten and, where it is too old, gives it a newer LLVM.
#
# A user's own emsdk (EMSDK is set, or emcc is 3.1.50 or newer) is used as it is. Debian 12's emcc is
# 3.1.6 on LLVM 14, which lacks the final relaxed-SIMD instructions. For it the build directory gets
#   emscripten/llvm/  links to LLVM 19 under the names, with -14, that this emcc calls
#   emscripten/emcc   a wrapper that points emcc there; emcc reads that from its environment only
# Both tiers are then built by the same LLVM 19. Emscripten's own (frozen) cache of system libraries stays
# in use. CMake reads this file several times; only the first reading writes anything.

set(BITNET_EMSDK_MIN 3.1.50)
set(BITNET_LLVM_VERSION 19)

function(bitnet_wasm_needs what)
    message(FATAL_ERROR "The wasm build lacks ${what}: install it with "
        "apt-get install --no-install-recommends emscripten clang-19 lld-19 llvm-19 node-acorn nodejs "
        "(or put the emcc of an emsdk ${BITNET_EMSDK_MIN} or newer first in PATH).")
endfunction()

find_program(BITNET_EMCC emcc HINTS $ENV{EMSDK}/upstream/emscripten)
if(NOT BITNET_EMCC)
    bitnet_wasm_needs("Emscripten's emcc")
endif()

if(NOT BITNET_EMCC_VERSION)
    execute_process(COMMAND ${BITNET_EMCC} --version OUTPUT_VARIABLE out ERROR_VARIABLE out RESULT_VARIABLE failed)
    if(failed OR NOT out MATCHES "emcc [^\n]*\\) ([0-9]+\\.[0-9]+\\.[0-9]+)")
        bitnet_wasm_needs("a working emcc (${BITNET_EMCC} --version says: ${out})")
    endif()
    set(BITNET_EMCC_VERSION ${CMAKE_MATCH_1} CACHE INTERNAL "version of emcc")
    get_filename_component(bin ${BITNET_EMCC} DIRECTORY)
    execute_process(COMMAND ${bin}/em-config EMSCRIPTEN_ROOT OUTPUT_VARIABLE root OUTPUT_STRIP_TRAILING_WHITESPACE)
    set(BITNET_EMSCRIPTEN_ROOT ${root} CACHE INTERNAL "Emscripten's own folder")
    execute_process(COMMAND ${bin}/em-config LLVM_ADD_VERSION OUTPUT_VARIABLE suffix ERROR_QUIET
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    set(BITNET_EMCC_LLVM ${suffix} CACHE INTERNAL "what a distribution's emcc appends to the names of LLVM's tools")
endif()

# Debian's emcc finds acorn, the parser of its JavaScript optimiser, only under Debian's own node.
function(bitnet_old_emscripten dir)
    set(llvm /usr/lib/llvm-${BITNET_LLVM_VERSION}/bin)
    foreach(tool clang wasm-ld llvm-ar)
        if(NOT EXISTS ${llvm}/${tool})
            bitnet_wasm_needs("${llvm}/${tool}")
        endif()
    endforeach()
    if(NOT EXISTS /usr/share/nodejs/acorn)
        bitnet_wasm_needs("the JavaScript parser acorn in /usr/share/nodejs")
    endif()
    file(MAKE_DIRECTORY ${dir}/llvm)
    file(GLOB tools ${llvm}/*)
    foreach(tool ${tools})
        get_filename_component(name ${tool} NAME)
        file(CREATE_LINK ${tool} ${dir}/llvm/${name} SYMBOLIC)
        file(CREATE_LINK ${tool} ${dir}/llvm/${name}-${BITNET_EMCC_LLVM} SYMBOLIC)
    endforeach()
    file(WRITE ${dir}/emcc "#!/bin/sh
# written by cmake/emscripten.cmake
export EM_LLVM_ROOT='${dir}/llvm'
export NODE_PATH=\"\${NODE_PATH:+$NODE_PATH:}/usr/share/nodejs\"
exec '${BITNET_EMCC}' \"$@\"
")
    file(CHMOD ${dir}/emcc PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
         WORLD_READ WORLD_EXECUTE)
endfunction()

if(DEFINED ENV{EMSDK} OR BITNET_EMCC_VERSION VERSION_GREATER_EQUAL BITNET_EMSDK_MIN)
    set(BITNET_EMCC_IS_OLD FALSE)
    set(CMAKE_C_COMPILER ${BITNET_EMCC} CACHE FILEPATH "")
else()
    set(BITNET_EMCC_IS_OLD TRUE) # cmake/wasm.cmake links differently then
    set(CMAKE_C_COMPILER ${CMAKE_BINARY_DIR}/emscripten/emcc CACHE FILEPATH "")
    if(NOT EXISTS ${CMAKE_C_COMPILER} OR CMAKE_CURRENT_LIST_FILE IS_NEWER_THAN ${CMAKE_C_COMPILER})
        bitnet_old_emscripten(${CMAKE_BINARY_DIR}/emscripten)
    endif()
endif()

set(CMAKE_ASM_COMPILER_ID Clang) # nothing to find out: emcc is the assembler too
include(${BITNET_EMSCRIPTEN_ROOT}/cmake/Modules/Platform/Emscripten.cmake)
