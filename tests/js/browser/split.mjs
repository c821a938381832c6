/* split.mjs: the shipped model cut in parts, as llama-gguf-split would; and as a model that was taught to chat. */
import { readFileSync } from "node:fs";
import { MODEL } from "./helpers.mjs";

const FILE = readFileSync(MODEL);
const SIZES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }; /* of GGUF's fixed types */
const [TEXT, ARRAY] = [8, 9];
const ALIGN = 32;

/** Walks over the header without keeping anything but places. */
class Header {
  at = 24;

  u32() {
    return FILE.readUInt32LE((this.at += 4) - 4);
  }
  u64() {
    return Number(FILE.readBigUInt64LE((this.at += 8) - 8));
  }
  skipText() {
    const size = this.u64();
    this.at += size;
  }
  skipValue(type) {
    if (type === TEXT) return this.skipText();
    if (type !== ARRAY) return void (this.at += SIZES[type]);
    const of = this.u32();
    for (let n = this.u64(); n > 0; n--) this.skipValue(of);
  }
  skipKey() {
    this.skipText();
    this.skipValue(this.u32());
  }
  /** Name, shape and type as they stand there, and where the data lie. */
  tensor() {
    const start = this.at;
    this.skipText();
    for (let n = this.u32(); n > 0; n--) this.u64();
    this.u32();
    return { head: FILE.subarray(start, this.at), offset: this.u64() };
  }
}

const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc((ALIGN - (bytes.length % ALIGN)) % ALIGN)]);

function number(size, value) {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntLE(value, 0, Math.min(size, 6));
  return bytes;
}

function key(name, type, size, value) {
  return Buffer.concat([number(8, name.length), Buffer.from(name), number(4, type), number(size, value)]);
}

const entry = (text) => Buffer.concat([number(8, text.length), Buffer.from(text)]);

/** Its end token has the name by which a vocabulary of the family "bitnet" is known (core/include/bitnet/chat.h); the
 * model's own name takes the bytes that this is shorter by. */
export function chatModel() {
  const changes = { "bitnet-tales": "bitnet-tales-chat", "<|end_of_text|>": "<|eot_id|>" };
  return Object.entries(changes).reduce((bytes, [from, to]) => {
    const [old, put] = [entry(from), entry(to)];
    const at = bytes.indexOf(old);
    if (at < 0) throw new Error(`the shipped model has no "${from}"`);
    return Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + old.length)]);
  }, FILE);
}

/** The keys are in the first part, tensors in all of them, one for each in turn. */
export function splitModel(nParts) {
  const header = new Header();
  const [nTensors, nKeys] = [8, 16].map((offset) => Number(FILE.readBigUInt64LE(offset)));
  for (let i = 0; i < nKeys; i++) header.skipKey();
  const keys = FILE.subarray(24, header.at);
  const tensors = Array.from({ length: nTensors }, () => header.tensor());
  const data = Math.ceil(header.at / ALIGN) * ALIGN;
  tensors.forEach((tensor, i) => {
    const end = i + 1 < nTensors ? data + tensors[i + 1].offset : FILE.length;
    tensor.bytes = padded(FILE.subarray(data + tensor.offset, end));
  });
  return Array.from({ length: nParts }, (_, no) => {
    const mine = tensors.filter((_, i) => i % nParts === no);
    const heads = [FILE.subarray(0, 8), number(8, mine.length), number(8, (no === 0 ? nKeys : 0) + 3)];
    if (no === 0) heads.push(keys);
    heads.push(key("split.no", 2, 2, no), key("split.count", 2, 2, nParts), key("split.tensors.count", 5, 4, nTensors));
    let offset = 0;
    for (const { head, bytes } of mine) {
      heads.push(head, number(8, offset));
      offset += bytes.length;
    }
    return Buffer.concat([padded(Buffer.concat(heads)), ...mine.map(({ bytes }) => bytes)]);
  });
}
