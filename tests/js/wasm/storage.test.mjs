// storage.test.mjs: the journal of a stored file, which is all that says what of it can be believed. The store itself
// needs a browser: loading.spec.mjs.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";
import { importTs } from "./load_ts.mjs";

const { storage, ...journal } = await importTs("journal", "storage");
const { CHUNK_SIZE, headLine, isComplete, journalLine, parseJournal, storedSize, wholeLines } = journal;

const SIZE = 3 * CHUNK_SIZE + 5; /* four chunks */
const FACTS = { url: "https://models.test/a.gguf?x=1", size: SIZE, etag: '"a\u00e9\\"', lastModified: "yesterday" };
const DIGESTS = [0, 1, 2, 3, 4].map((i) => createHash("sha256").update(String(i)).digest("hex"));
const chunks = (n) => DIGESTS.slice(0, n).map((chunk) => journalLine({ chunk })).join("");
const textOf = (n) => headLine(FACTS) + chunks(n);

test("what was written is read back", () => {
  const notes = [{ sha256: DIGESTS[4] }, { usedAt: 7 }, { usedAt: 9 }];
  const text = textOf(4) + notes.map(journalLine).join("");
  const expected = { facts: FACTS, chunks: DIGESTS.slice(0, 4), sha256: DIGESTS[4], usedAt: 9 };
  assert.deepEqual(parseJournal(text), expected);
});

test("every character is a byte, whatever a server calls its file", () => {
  assert.equal(Buffer.byteLength(headLine(FACTS)), headLine(FACTS).length);
  assert.equal(parseJournal(headLine(FACTS)).facts.etag, FACTS.etag);
});

test("a file without ETag and date has none in its journal", () => {
  const facts = { url: "https://models.test/", size: 1 };
  assert.deepEqual(parseJournal(headLine(facts)).facts, facts);
});

test("bytes count from the first chunk to the last one written, and the last chunk is shorter", () => {
  const sizes = [0, 1, 2, 3, 4].map((n) => storedSize(parseJournal(textOf(n))));
  assert.deepEqual(sizes, [0, CHUNK_SIZE, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE, SIZE]);
  assert.deepEqual([3, 4].map((n) => isComplete(parseJournal(textOf(n)))), [false, true]);
});

test("cut off anywhere, a journal tells less and never something else", () => {
  const text = textOf(4);
  for (let length = 0; length < text.length; length++) {
    const cut = text.slice(0, length);
    const found = parseJournal(cut);
    assert.equal(wholeLines(cut), text.slice(0, wholeLines(cut).length));
    if (length < headLine(FACTS).length) assert.equal(found, undefined);
    else assert.deepEqual(found.chunks, DIGESTS.slice(0, cut.split("\n").length - 2));
  }
});

for (const [what, text] of [
  ["nothing", ""],
  ["another version", headLine(FACTS).replace('"version":1', '"version":2')],
  ["no address", '{"version":1,"size":5}\n'],
  ["a size below zero", headLine({ ...FACTS, size: -1 })],
  ["half a byte", headLine({ ...FACTS, size: 0.5 })],
  ["an ETag that is a number", headLine({ ...FACTS, etag: 5 })],
  ["more chunks than the file has", textOf(5)],
  ["a digest that is too short", textOf(1).replace(/.{3}\}\n$/, '"}\n')],
  ["a line of an unknown kind", `${textOf(1)}{"chunks":1}\n`],
  ["a line that is null", `${textOf(1)}null\n`],
  ["an empty line", `${textOf(1)}\n${chunks(1)}`],
  ["bytes that are no text", `${textOf(1)}\0\0\0\n`],
  ["another kind of file", "<!doctype html>\n<title>x</title>\n"],
]) {
  test(`a journal with ${what} is not believed`, () => assert.equal(parseJournal(text), undefined));
}

test("what is no URL is refused as an argument", async () => {
  const error = await storage.delete("http://").catch((e) => e);
  assert.deepEqual([error.code, error.message], ["options", '"http://" is not a URL.']);
});
