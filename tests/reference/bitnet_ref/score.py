"""Logits -> what two implementations are compared by."""
import math

import numpy as np


def log_probs(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def nll(logits, ids):
    """-log p of ids[i + 1] after position i, f64 [n - 1]."""
    return -log_probs(logits[:-1])[np.arange(len(ids) - 1), list(ids[1:])]


def perplexity(losses):
    """exp of the mean; None when nothing was predicted."""
    return math.exp(float(np.mean(losses))) if len(losses) else None


def top(logits, n):
    """[[id, logit]], best first, the lowest id first among equals."""
    order = np.lexsort((np.arange(len(logits)), -logits))[:n]
    return [[int(i), float(logits[i])] for i in order]


def summary(model, ids, result):
    """What --json prints; docs/reference.md names the fields."""
    losses = nll(result.logits, ids)
    positions = []
    for i, row in enumerate(result.logits):
        best = top(row, 5)
        positions.append({
            "id": int(ids[i]), "argmax": best[0][0], "top": best, "gap": best[0][1] - best[1][1],
            "nll": float(losses[i]) if i < len(losses) else None,
            "spread": float(result.spread[i]), "margin": float(result.margin[i])})
    return {
        "arch": model.hparams.arch, "act": model.hparams.act, "container": model.container,
        "rope": "norm" if model.hparams.rope_is_norm else "neox", "n_layer": model.hparams.n_layer,
        "n_vocab": model.n_vocab, "n_ids": len(ids), "perplexity": perplexity(losses),
        "spread": float(result.spread.max()), "positions": positions}
