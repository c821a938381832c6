"""An independent implementation of everything a ternary language model's numbers depend on.

It exists to be right, not to be fast: it was written from the specification of the formats and of the arithmetic
(docs/reference.md lists the sources), shares no line with the C core, and needs Python 3.9 and NumPy only.

    blocks.py       bytes of one tensor -> numbers
    gguf.py         GGUF files, split ones too      \\
    safetensors.py  a Hugging Face folder           /  -> model.Model
    load.py         a path -> one of the two
    model.py        hyper-parameters and tensors under GGUF's names: all that the forward pass knows
    forward.py      ids -> logits, a layer at a time
    score.py        logits -> argmax, gaps, perplexity
"""
