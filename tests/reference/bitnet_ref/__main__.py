"""python3 bitnet_ref MODEL --ids 1,2,3 [--i2s-layout b] [--override-kv KEY=TYPE:VALUE] [--layers N] [--out FILE] [--json]

MODEL is a GGUF file, the first part of a split one, or a Hugging Face folder. stdout gets a table, or one JSON object;
--out the logits, f32 little-endian [ids][vocabulary]. The exit status is 1 when the model cannot be read, 69 without
NumPy. The folder is run like a script, so that nothing is imported from the current one.
"""
import argparse
import json
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)
try:
    from bitnet_ref import load, score
    from bitnet_ref.forward import forward
except ImportError as error:
    if error.name != "numpy":
        raise
    print("bitnet_ref: error: NumPy is not installed for this Python", file=sys.stderr)
    sys.exit(69)


def arguments():
    p = argparse.ArgumentParser(prog="bitnet_ref", description="The reference implementation.")
    p.add_argument("--version", action="version", version="bitnet_ref 1")
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("--ids", required=True, type=lambda text: [int(word) for word in text.split(",")])
    p.add_argument("--i2s-layout", choices=("a", "b"), default="a")
    p.add_argument("--override-kv", action="append", default=[], type=load.override, metavar="KEY=TYPE:VALUE")
    p.add_argument("--layers", type=int, help="run the first N layers only")
    p.add_argument("--out", type=pathlib.Path)
    p.add_argument("--json", action="store_true")
    return p.parse_args()


def show(found):
    print(f"{found['container']}, {found['arch']}, {found['act']}, {found['n_layer']} layers, {found['n_vocab']} tokens")
    print(f"{'pos':>4} {'id':>7} {'argmax':>7} {'logit':>10} {'gap':>10} {'nll next':>10} {'spread':>9}")
    for i, p in enumerate(found["positions"]):
        nll = "" if p["nll"] is None else f"{p['nll']:.5f}"
        print(f"{i:4d} {p['id']:7d} {p['argmax']:7d} {p['top'][0][1]:10.5f} {p['gap']:10.5f} {nll:>10} "
              f"{p['spread']:9.1e}")
    if found["perplexity"] is not None:
        print(f"perplexity {found['perplexity']:.6f}")


def progress(done, total):
    if sys.stderr.isatty():
        line = "" if done == total else f"reference: layer {done} of {total}"
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)


def main():
    args = arguments()
    try:
        model = load.read(args.model, args.i2s_layout, args.override_kv)
        wrong = [i for i in args.ids if not 0 <= i < model.n_vocab]
        if wrong:
            raise ValueError(f"id {wrong[0]} is outside the vocabulary of {model.n_vocab}")
        model.hparams.n_layer = min(model.hparams.n_layer, args.layers or model.hparams.n_layer)
        result = forward(model, args.ids, progress)
    except (OSError, KeyError, ValueError) as e:
        print(f"bitnet_ref: error: {args.model}: {e}", file=sys.stderr)
        return 1
    if args.out:
        result.logits.astype("<f4").tofile(args.out)
    found = score.summary(model, args.ids, result)
    if args.json:
        print(json.dumps(found))
    else:
        show(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
