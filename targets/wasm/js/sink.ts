/* sink.ts: the place of a model file in a session's heap, or of the parts of a split one, one after the other.
 *
 * How much memory the model takes beside its file stands in the file's header. So the first bytes wait here until
 * the header is whole; then the heap grows once, for everything, and a model that does not fit is refused before
 * the rest of it is downloaded. A header that makes no sense, or is one of several, is left to
 * the library, which says what is wrong.
 */
import type { ByteSink } from "./download.js";
import type { LoadHow, Session } from "./session.js";

export class SessionSink implements ByteSink {
  private size = 0;
  private head: Uint8Array[] = [];
  private headSize = 0;
  private wanted = 0; /* bytes of the head that the next attempt at a plan needs */
  private isReserved = false;

  constructor(
    private readonly session: Session,
    private readonly how: LoadHow,
  ) {}

  get isPlaced(): boolean {
    return this.isReserved;
  }

  reserve(size: number): void {
    if (this.isReserved) this.session.unreserve();
    this.isReserved = false;
    this.size = size;
    this.head = [];
    this.headSize = this.wanted = 0;
  }

  /** Until the file has its place, only what comes next may come. The bytes are good for this call alone. */
  write(at: number, bytes: Uint8Array): void {
    if (this.isReserved) return this.session.write(at, bytes);
    if (at === 0) this.head = [];
    this.head.push(bytes.slice());
    this.headSize = at + bytes.length;
    if (this.headSize < this.wanted && this.headSize < this.size) return;
    const room = this.room();
    if (room !== undefined) this.give(room);
  }

  /** The file is whole; another part follows. */
  next(): void {
    this.isReserved = false;
  }

  place(): void {
    if (!this.isReserved) this.give(0);
  }

  view(at: number, size: number): Uint8Array {
    return this.session.view(at, size);
  }

  sha256(at: number, size: number): string {
    return this.session.sha256(at, size);
  }

  digest(size: number, onStep: (done: number) => void): string {
    return this.session.digest(size, onStep);
  }

  /** What the model takes beside its file; undefined while the header is not whole. */
  private room(): number | undefined {
    const head = new Uint8Array(this.headSize);
    let at = 0;
    for (const bytes of this.head) {
      head.set(bytes, at);
      at += bytes.length;
    }
    try {
      const plan = this.session.plan(head, this.size, this.how);
      if (typeof plan !== "number") return plan.memory.total - plan.memory.file;
      this.wanted = plan;
      return plan > this.size ? 0 : undefined;
    } catch {
      return 0;
    }
  }

  private give(room: number): void {
    this.session.reserve(this.size, room);
    this.isReserved = true;
    let at = 0;
    for (let bytes = this.head.shift(); bytes; bytes = this.head.shift()) {
      this.session.write(at, bytes);
      at += bytes.length;
    }
  }
}
