# Compiler flags of a kernel file follow from its suffix: <slot>_<isa>.c
set(bitnet_sse41_flags -mssse3 -msse4.1)
set(bitnet_avx2_flags -mavx2 -mf16c)
set(bitnet_avxvnni_flags ${bitnet_avx2_flags} -mavxvnni)
set(bitnet_avx512vnni_flags
    ${bitnet_avx2_flags} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni)
set(bitnet_amx_flags ${bitnet_avx512vnni_flags} -mamx-tile -mamx-int8)

# Before it hands out registers, GCC 12 moves the unpacking of many vectors ahead of their use, and
# accumulators into memory.
if(CMAKE_C_COMPILER_ID STREQUAL GNU)
    set(bitnet_neon_flags -fno-schedule-insns)
endif()
set(bitnet_dotprod_flags ${bitnet_neon_flags} -march=armv8.2-a+dotprod)
set(bitnet_i8mm_flags ${bitnet_neon_flags} -march=armv8.2-a+dotprod+i8mm)

function(bitnet_isa_flags)
    foreach(src ${ARGN})
        string(REGEX REPLACE ".*_(.*)\\.c$" "\\1" isa ${src})
        set_source_files_properties(${src} PROPERTIES COMPILE_OPTIONS "${bitnet_${isa}_flags}")
    endforeach()
endfunction()
