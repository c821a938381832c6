/* pieces.ts: the bytes of a stream, through one buffer where the stream can fill one of ours.
 *
 * A default reader makes a new array for each piece. At a gigabyte in seconds that is garbage faster than it is
 * collected: loading a model held up to 200 MB of it.
 */
const PIECE = 1 << 20;

type Read = () => Promise<{ done: boolean; value?: Uint8Array | undefined }>;

/** Refused by a stream that was not made for it. */
function intoOurs(stream: ReadableStream<Uint8Array>): { read: Read; reader: ReadableStreamBYOBReader } {
  const reader = stream.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(PIECE);
  const read: Read = async () => {
    const result = await reader.read(new Uint8Array(buffer));
    if (result.value) buffer = result.value.buffer; /* a read takes the buffer away and gives it back */
    return result;
  };
  return { read, reader };
}

function open(stream: ReadableStream<Uint8Array>): { read: Read; reader: ReadableStreamGenericReader } {
  try {
    return intoOurs(stream);
  } catch {
    const reader = stream.getReader();
    return { read: () => reader.read(), reader };
  }
}

/** A piece is good until the next one is asked for: whoever keeps it makes a copy. Leaving the loop cancels the
 * stream. */
export async function* piecesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const { read, reader } = open(stream);
  try {
    for (let next = await read(); !next.done; next = await read()) yield next.value!;
  } finally {
    void reader.cancel().catch(() => undefined); /* does nothing to a stream that has ended */
  }
}
