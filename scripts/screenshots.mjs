/* screenshots.mjs: docs/img/chat.png and docs/img/dashboard.png, taken of the real thing.
 *
 *   node scripts/screenshots.mjs        after ./start --build-only
 *
 * Serves with build/native/bitnet (or BITNET_BIN), asks in a tab and on the command line at the same time,
 * and photographs both pages at 1280x800. Needs Chromium; changes nothing but the two files.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = process.env.BITNET_BIN || path.join(ROOT, "build/native/bitnet");
const WEB_ROOT = process.env.BITNET_WEB_ROOT || path.join(ROOT, "build/web");
const OUT = path.join(ROOT, "docs/img");
const STORY = "Once upon a time";

async function serve() {
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
  return { server, url: await url };
}

async function write(tab, opening) {
  await tab.fill("#prompt", opening);
  await tab.keyboard.press("Enter");
  await tab.locator('body[data-phase="ready"]').waitFor();
}

async function main() {
  mkdirSync(OUT, { recursive: true });
  const { server, url } = await serve();
  const browser = await chromium.launch({
    executablePath: process.env.BITNET_CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "light" });
  const board = await context.newPage();
  await board.goto(`${url}dashboard/`);
  const tab = await context.newPage();
  await tab.goto(`${url}?seed=4&max=110`);
  await tab.locator('body[data-phase="ready"]').waitFor();
  await write(tab, STORY);
  await tab.evaluate(() => scrollTo(0, 0));
  await tab.screenshot({ path: path.join(OUT, "chat.png") });

  /* Half a minute of both at once, with the pauses that a person would make. */
  await tab.fill("input[name=max]", "400").catch(() => undefined);
  const track = url.replace("http", "ws").replace(/\/$/, "");
  for (let round = 0; round < 5; round++) {
    const args = ["run", "--track", track, "-s", String(round + 1), "-n", "480", "-p", STORY];
    const cli = spawn(BIN, args, { stdio: "ignore" });
    await write(tab, STORY);
    if (cli.exitCode === null) await once(cli, "close");
    await board.waitForTimeout(2_000);
  }
  await board.bringToFront();
  await board.screenshot({ path: path.join(OUT, "dashboard.png") });
  await browser.close();
  server.kill("SIGTERM");
}

await main();
