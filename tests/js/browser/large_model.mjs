/* large_model.mjs: a file in the shape of BitNet-b1.58-2B-4T, 1.19 GB of random weights, which are the same each time.
 */
import { closeSync, openSync, writeSync } from "node:fs";

const [D, LAYERS, HEADS, KV_HEADS, FF, VOCAB, WINDOW] = [2560, 30, 20, 5, 6912, 128256, 4096];
const ARCH = "bitnet-b1.58";
const [U32, F32, TEXT, ARRAY, I32] = [4, 6, 8, 9, 5]; /* GGUF's value types */
const TYPES = { f32: 0, f16: 1, i2_s: 36 };
const ALIGN = 32;

function number(size, value) {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntLE(value, 0, Math.min(size, 6));
  return bytes;
}
function float(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
const text = (value) => Buffer.concat([number(8, Buffer.byteLength(value)), Buffer.from(value)]);
const key = (name, type, value) => Buffer.concat([text(name), number(4, type), value]);
const array = (name, type, values) =>
  key(name, ARRAY, Buffer.concat([number(4, type), number(8, values.length), ...values]));

/** A SentencePiece vocabulary: three control tokens, all bytes, and words. */
function vocabulary() {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const words = Array.from({ length: VOCAB - 259 }, (_, i) => `\u2581w${i}`);
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...words];
  const kindOf = (i) => (i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
  return [
    key("tokenizer.ggml.model", TEXT, text("llama")),
    array("tokenizer.ggml.tokens", TEXT, tokens.map(text)),
    array("tokenizer.ggml.scores", F32, tokens.map((_, i) => float(-i))),
    array("tokenizer.ggml.token_type", I32, tokens.map((_, i) => number(4, kindOf(i)))),
    key("tokenizer.ggml.bos_token_id", U32, number(4, 1)),
    key("tokenizer.ggml.eos_token_id", U32, number(4, 2)),
  ];
}

const hyperparameters = () => [
  key("general.architecture", TEXT, text(ARCH)),
  key("general.name", TEXT, text("random-2b4t")),
  ...Object.entries({
    context_length: WINDOW,
    embedding_length: D,
    block_count: LAYERS,
    feed_forward_length: FF,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
    "rope.dimension_count": D / HEADS,
    vocab_size: VOCAB,
  }).map(([name, value]) => key(`${ARCH}.${name}`, U32, number(4, value))),
  key(`${ARCH}.rope.freq_base`, F32, float(500000)),
  key(`${ARCH}.attention.layer_norm_rms_epsilon`, F32, float(1e-5)),
];

function* tensors() {
  const norm = (name, size) => ({ name, type: "f32", shape: [size] });
  const ternary = (name, from, to) => ({ name, type: "i2_s", shape: [from, to] });
  yield { name: "token_embd.weight", type: "f16", shape: [D, VOCAB] };
  yield norm("output_norm.weight", D);
  const kv = (D / HEADS) * KV_HEADS;
  for (let i = 0; i < LAYERS; i++) {
    const at = `blk.${i}.`;
    yield norm(`${at}attn_norm.weight`, D);
    yield norm(`${at}attn_sub_norm.weight`, D);
    yield norm(`${at}ffn_norm.weight`, D);
    yield norm(`${at}ffn_sub_norm.weight`, FF);
    yield ternary(`${at}attn_q.weight`, D, D);
    yield ternary(`${at}attn_k.weight`, D, kv);
    yield ternary(`${at}attn_v.weight`, D, kv);
    yield ternary(`${at}attn_output.weight`, D, D);
    yield ternary(`${at}ffn_gate.weight`, D, FF);
    yield ternary(`${at}ffn_up.weight`, D, FF);
    yield ternary(`${at}ffn_down.weight`, FF, D);
  }
}

function sizeOf({ type, shape }) {
  const n = shape.reduce((a, b) => a * b, 1);
  return { f32: 4 * n, f16: 2 * n, i2_s: n / 4 + 32 }[type];
}

/** xorshift32 */
function* random() {
  for (let x = 0x9e3779b9; ; ) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    yield x >>> 0;
  }
}

/* Tensors are filled from one piece each of these, over and over; their lengths are prime, so that no two rows are
 * the same. */
const N_HALVES = 499979;
const N_QUADS = 999983;

/** f16 of 0.002 to 0.03, of either sign. */
function halves(numbers) {
  const all = new Uint16Array(N_HALVES);
  for (let i = 0; i < N_HALVES; i++) {
    const bits = numbers.next().value;
    all[i] = ((bits & 1) << 15) | ((6 + ((bits >>> 1) & 3)) << 10) | ((bits >>> 3) & 1023);
  }
  return Buffer.from(all.buffer);
}

/** Four codes of 0, 1 or 2 a byte. */
function quads(numbers) {
  const bytes = Buffer.alloc(N_QUADS);
  for (let i = 0; i < N_QUADS; i++) {
    let left = numbers.next().value;
    for (let k = 0; k < 8; k += 2) {
      bytes[i] |= left % 3 << k;
      left = Math.floor(left / 3);
    }
  }
  return bytes;
}

function writeAll(file, bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

/** Round and round, from `at` in the piece; where it ended comes back. */
function fill(file, piece, size, at) {
  for (let left = size; left > 0; ) {
    const part = piece.subarray(at, at + left);
    writeAll(file, part);
    left -= part.length;
    at = (at + part.length) % piece.length;
  }
  return at;
}

export function writeLargeModel(path) {
  const all = [...tensors()];
  const keys = [...hyperparameters(), ...vocabulary()];
  let offset = 0;
  const heads = all.map(({ name, type, shape }) => {
    const dims = shape.map((n) => number(8, n));
    const head = Buffer.concat([text(name), number(4, shape.length), ...dims, number(4, TYPES[type]), number(8, offset)]);
    offset += Math.ceil(sizeOf({ type, shape }) / ALIGN) * ALIGN;
    return head;
  });
  const start = [Buffer.from("GGUF"), number(4, 3), number(8, all.length), number(8, keys.length)];
  const header = Buffer.concat([...start, ...keys, ...heads]);
  const numbers = random();
  const ones = Buffer.from(new Float32Array(FF).fill(1).buffer);
  const pieces = { f16: halves(numbers), i2_s: quads(numbers) };
  const file = openSync(path, "w");
  try {
    writeAll(file, Buffer.concat([header, Buffer.alloc(-header.length & (ALIGN - 1))]));
    let at = 0;
    for (const tensor of all) {
      const size = sizeOf(tensor);
      if (tensor.type === "f32") writeAll(file, ones.subarray(0, size));
      else if (tensor.type === "f16") fill(file, pieces.f16, size, 0);
      else at = fill(file, pieces.i2_s, size - ALIGN, at);
      if (tensor.type === "i2_s") writeAll(file, Buffer.concat([float(1.2 / Math.sqrt(tensor.shape[0])), Buffer.alloc(28)]));
    }
  } finally {
    closeSync(file);
  }
}
