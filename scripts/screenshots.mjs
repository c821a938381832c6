/* screenshots.mjs: docs/img/chat.png and docs/img/dashboard.png, taken of the real thing.
 *
 *   node scripts/screenshots.mjs        after ./start --build-only
 *
 * Serves with build/native/bitnet (or BITNET_BIN) and photographs both pages at 1280x800: the chat
 * after one story, the dashboard while a tab and a command line write at the same
 * time, one thread each. Needs Chromium and a quiet machine; changes nothing but the two files.
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = process.env.BITNET_BIN || path.join(ROOT, "build/native/bitnet");
const WEB_ROOT = process.env.BITNET_WEB_ROOT || path.join(ROOT, "build/web");
const OUT = path.join(ROOT, "docs/img");
const STORY = "Once upon a time";
const ALONE_MS = 30_000; /* the tab on its own: half of the minute charted */
const TOGETHER_MS = 1_300; /* both begin the same story; the command line is done with it after two seconds */

async function withServer(use) {
  const server = spawn(BIN, ["serve", "--port", "0", "--web-root", WEB_ROOT], { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [server.stdout, server.stderr]) stream.setEncoding("utf8");
  const url = new Promise((resolve, reject) => {
    let output = "";
    const onData = (text) => {
      output += text;
      const found = /http:\/\/127\.0\.0\.1:\d+\//.exec(output);
      if (found) resolve(found[0]);
    };
    server.stdout.on("data", onData);
    server.stderr.on("data", onData);
    server.once("close", (code) => reject(new Error(`bitnet serve ended with ${code}: ${output}`)));
  });
  try {
    await use(await url);
  } finally {
    server.kill("SIGTERM");
  }
}

async function openChat(context, url, query) {
  const page = await context.newPage();
  await page.goto(`${url}?${query}`);
  await page.locator('body[data-phase="ready"]').waitFor();
  return page;
}

async function write(page, opening) {
  await page.fill("#prompt", opening);
  await page.keyboard.press("Enter");
  await page.locator(".stats").last().waitFor();
  await page.locator('body[data-phase="ready"]').waitFor();
}

async function photographChat(context, url) {
  const page = await openChat(context, url, "seed=8&max=110");
  await write(page, STORY);
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: path.join(OUT, "chat.png") });
  await page.close();
}

async function keepWriting(page, ms) {
  const end = Date.now() + ms;
  while (Date.now() < end) {
    await write(page, STORY);
    await page.waitForTimeout(1_500); /* as a reader would */
  }
}

async function photographDashboard(context, url) {
  const board = await context.newPage();
  await board.goto(`${url}dashboard/`);
  const tab = await openChat(context, url, "temp=0&ctx=4096&max=1500&threads=1");
  const track = url.replace("http", "ws").replace(/\/$/, "");
  const options = ["--track", track, "--temp", "0", "-t", "1", "-c", "4096", "-n", "4000"];
  await keepWriting(tab, ALONE_MS);
  await tab.fill("#prompt", STORY);
  await board.bringToFront();
  const cli = spawn(BIN, ["run", ...options, "-p", STORY], { stdio: "ignore" });
  await tab.keyboard.press("Enter");
  await board.waitForTimeout(TOGETHER_MS);
  await board.screenshot({ path: path.join(OUT, "dashboard.png") });
  cli.kill("SIGINT");
}

mkdirSync(OUT, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.BITNET_CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "light" });
await withServer((url) => photographChat(context, url));
await withServer((url) => photographDashboard(context, url));
await browser.close();
