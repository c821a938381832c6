// resident.mjs: memory of a browser's pages, as the system counts it (Linux).
import { readFileSync } from "node:fs";

/** Empty for one that has ended meanwhile, as spare renderers do. */
function statusOf(id) {
  try {
    return readFileSync(`/proc/${id}/status`, "utf8");
  } catch {
    return "";
  }
}

/** Bytes that the largest of the browser's renderers has resident: `now`, and the `peak` of its life. One of them
 * runs the page at hand and its workers. */
export async function largestRenderer(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const largest = { now: 0, peak: 0 };
  for (const { id } of processInfo.filter(({ type }) => type === "renderer")) {
    const status = statusOf(id);
    const bytes = (key) => 1024 * Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0);
    largest.now = Math.max(largest.now, bytes("VmRSS"));
    largest.peak = Math.max(largest.peak, bytes("VmHWM"));
  }
  return largest;
}
