# Compiler flags of a kernel file follow from its suffix: <slot>_<isa>.c
function(bitnet_isa_flags)
    foreach(src ${ARGN})
        if(src MATCHES "_avx2\\.c$")
            set_source_files_properties(${src} PROPERTIES COMPILE_OPTIONS "-mavx2;-mf16c")
        elseif(src MATCHES "_avx512vnni\\.c$")
            set_source_files_properties(${src} PROPERTIES
                COMPILE_OPTIONS "-mavx2;-mf16c;-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx512vnni")
        endif()
    endforeach()
endfunction()
