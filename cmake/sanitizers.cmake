# BITNET_SANITIZE: empty, "address,undefined" (preset dev), "thread" (preset tsan) or
# "address,undefined,fuzzer-no-link" (preset fuzz).
set(BITNET_SANITIZE "" CACHE STRING "sanitizers, comma separated")
if(BITNET_SANITIZE)
    add_compile_options(-fsanitize=${BITNET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${BITNET_SANITIZE})
endif()
