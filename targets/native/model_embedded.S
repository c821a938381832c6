/* model_embedded.S: the default model's bytes, in the executable. MODEL_PATH comes from the build. */
    .section .rodata
    .balign 64
    .global bitnet_default_model
bitnet_default_model:
    .incbin MODEL_PATH
    .global bitnet_default_model_end
bitnet_default_model_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
