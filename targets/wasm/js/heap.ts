/* heap.ts: how much memory the page's own JavaScript takes, where the browser tells. A worker is not told; so the page
 * measures and hands it over.
 *
 * measureUserAgentSpecificMemory counts the page and its workers, in cross-origin isolated pages; it may wait for
 * a garbage collection. performance.memory is Chromium's old way: the page alone. A way that fails is not tried again,
 * and where there is none nothing is measured.
 */

const MEASURE_EACH_MS = 30_000;

interface MemoryMeasurement {
  bytes: number;
  breakdown: { bytes: number; types: string[] }[];
}

interface MemoryPerformance {
  measureUserAgentSpecificMemory?(): Promise<MemoryMeasurement>;
  memory?: { usedJSHeapSize: number };
}

type Measure = () => number | Promise<number>;

/** Of the whole, what is JavaScript's; all of it where the browser does not say what is what. */
function javaScriptBytes({ bytes, breakdown }: MemoryMeasurement): number {
  if (breakdown.every(({ types }) => types.length === 0)) return bytes;
  return breakdown.reduce((sum, part) => sum + (part.types.includes("JavaScript") ? part.bytes : 0), 0);
}

/** The best first. Whether they work is seen when they are used. */
function ways(): Measure[] {
  const from = globalThis.performance as MemoryPerformance;
  const found: Measure[] = [];
  if (globalThis.crossOriginIsolated && "measureUserAgentSpecificMemory" in from) {
    found.push(async () => javaScriptBytes(await from.measureUserAgentSpecificMemory!()));
  }
  if ("memory" in from) found.push(() => from.memory!.usedJSHeapSize);
  return found;
}

/** Measures now and every half minute until the function it returns is called, or `report` rejects. */
export function watchHeap(report: (bytes: number) => Promise<unknown>): () => void {
  const left = ways();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isStopped = false;

  const measure = async (): Promise<number | undefined> => {
    while (left.length > 0) {
      try {
        const bytes = await left[0]!();
        if (Number.isFinite(bytes) && bytes > 0) return bytes;
      } catch {
        /* the next one, then */
      }
      left.shift();
    }
    return undefined;
  };
  const watch = async (): Promise<void> => {
    const bytes = await measure();
    if (bytes === undefined || isStopped) return;
    await report(bytes);
    if (!isStopped) timer = setTimeout(start, MEASURE_EACH_MS);
  };
  const start = (): void => void watch().catch(() => undefined); /* nobody listens any more */
  start();
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}
