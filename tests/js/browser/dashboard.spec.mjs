/* dashboard.spec.mjs: the dashboard in a real Chromium, fed by a real tab and a real command line. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import test from "node:test";
import { BIN, openPage, phase, REAL, run, serve, sharedBrowser } from "./helpers.mjs";

const shared = sharedBrowser();

const NUMBER = /^[\d.,]+ /; /* with its unit after it; "–" is not measured */

const row = (page, name) =>
  page.locator("#producers > tbody > tr[data-instance]", { has: page.locator(`.producer-name:text-is("${name}")`) });

const cell = (page, name, column) => row(page, name).locator(`td[data-column="${column}"]`);

function tracked(port, nTokens) {
  const size = ["-c", String(LONG), "-n", String(nTokens)];
  return ["run", "--track", `ws://127.0.0.1:${port}`, "--temp", "0", ...size, "-p", "Once upon a time"];
}

/** Pixels of a chart's canvas that have the colour of a series. */
function pixelsOf(page, chart, slot) {
  return page.evaluate(
    ([id, name]) => {
      const canvas = document.querySelector(`#${id} canvas`);
      const colour = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
      const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3] > 200 && Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 12)
          n++;
      }
      return n;
    },
    [chart, `--series-${slot + 1}`],
  );
}

/* The letter at the end of a line has about 150 pixels of its colour, two seconds of line some more. */
const DRAWN_PIXELS = 100;

/* Tokens of an answer that is stopped before it gets there: greedy text does not end, it repeats itself. */
const LONG = 20_000;
const SHORT = 1_500;

test("a tab and a command line appear as two rows with numbers and lines", REAL, async (t) => {
  const server = await serve(t);
  const board = await openPage(t, shared, `${server.url}dashboard/`);
  await board.locator("#empty").waitFor();
  const command = `bitnet run --track ws://127.0.0.1:${server.port} -p "Once upon a time"`;
  assert.equal(await board.locator("#empty code").textContent(), command);

  const tab = await openPage(t, shared, `${server.url}?temp=0&ctx=${LONG}&max=${LONG}`);
  await phase(tab, "ready");
  await row(board, "tab").waitFor({ timeout: 3_000 });
  await tab.fill("#prompt", "Once upon a time");
  await tab.keyboard.press("Enter");
  const cli = spawn(BIN, tracked(server.port, LONG), { stdio: "ignore" });
  t.after(() => cli.kill());
  await row(board, "cli").waitFor({ timeout: 3_000 });

  for (const name of ["tab", "cli"]) {
    await board.waitForFunction(
      (who) => {
        const rows = [...document.querySelectorAll("#producers > tbody > tr[data-instance]")];
        const mine = rows.find((r) => r.querySelector(".producer-name").textContent === who);
        return ["decode", "ttft", "tpot", "memory"].every((c) =>
          /^[\d.,]+ /.test(mine.querySelector(`[data-column=${c}]`).textContent),
        );
      },
      name,
      { timeout: 10_000 },
    );
    assert.equal(await cell(board, name, "state").textContent(), "live");
    assert.match(await cell(board, name, "decode").textContent(), /^[\d.,]+ tok\/s$/);
    assert.match(await cell(board, name, "tpot").textContent(), /^[\d.,]+( µs| ms| s)? \/ [\d.,]+ (µs|ms|s)$/);
    assert.match(await cell(board, name, "memory").textContent(), /^[\d.,]+ MB$/);
    assert.match(await cell(board, name, "ttft").getAttribute("title"), /request accepted to first token sampled/);
    assert.equal(await cell(board, name, "model").textContent(), "bitnet-tales");
  }
  assert.match(await cell(board, "tab", "backend").textContent(), /^wasm · (relaxed|simd128) × \d+$/);
  assert.match(await cell(board, "cli", "backend").textContent(), /^cpu · \w+ × \d+$/);
  for (const chart of ["rate-chart", "ecdf"]) {
    for (const slot of [0, 1]) {
      const n = await pixelsOf(board, chart, slot);
      assert.ok(n > DRAWN_PIXELS, `${chart}: ${n} pixels have the colour of series ${slot + 1}`);
    }
    assert.equal(await pixelsOf(board, chart, 2), 0, "nothing is drawn in a colour that no producer has");
  }
  assert.match(await board.locator("#rate-chart").getAttribute("aria-label"), /tab [\d.,]+ tok\/s, cli [\d.,]+ tok\/s/);
  cli.kill("SIGINT");
  await tab.keyboard.press("Escape");
  await cell(board, "cli", "state")
    .getByText(/^(ended|lost)/)
    .waitFor({ timeout: 5_000 });
  await cell(board, "tab", "state").getByText(/^idle/).waitFor({ timeout: 10_000 });
  board.assertClean();
  tab.assertClean();
});

test("every metric of a producer opens under its row, with its definition", REAL, async (t) => {
  const server = await serve(t);
  const board = await openPage(t, shared, `${server.url}dashboard/`);
  const done = await run(...tracked(server.port, SHORT));
  assert.equal(done.code, 0, done.stderr);
  await row(board, "cli").getByRole("button").click();
  const details = board.locator("#producers tr.details:visible .metrics tbody tr");
  const texts = await details.evaluateAll((rows) => rows.map((r) => [...r.cells].map((c) => c.textContent)));
  const tokens = texts.find(([name]) => name === "generation tokens");
  assert.deepEqual(tokens?.slice(1), ["–", "–", "1,500 tokens", "tokens sampled"]);
  const definitions = texts.map((cells) => cells[4]);
  assert.ok(definitions.length >= 10 && definitions.every((text) => text.length > 5), definitions.join("; "));

  await board.selectOption("#metric", "decode_rate");
  assert.match(await board.locator("#metric-help").textContent(), /last request/);
  await board.waitForFunction(() => /^decode rate.*cli [\d.,]+ tok/.test(document.querySelector("#rate-chart").ariaLabel));
  assert.match(board.url(), /#live\?.*metric=decode_rate$/, "the address holds what is shown");
  board.assertClean();
});

test("a hub that dies is said so at once, and found again by itself when it returns", REAL, async (t) => {
  const server = await serve(t);
  const board = await openPage(t, shared, `${server.url}dashboard/`);
  await run(...tracked(server.port, SHORT));
  await cell(board, "cli", "state")
    .getByText(/^ended/)
    .waitFor();
  const before = await cell(board, "cli", "decode").textContent();
  assert.match(before, NUMBER);

  await server.stop("SIGKILL");
  await board.locator("#disconnected").waitFor({ timeout: 3_000 });
  assert.match(await board.locator("#disconnected").textContent(), /Disconnected:.*Numbers below are (now|\d+ s) old/s);
  await board
    .locator("#retry")
    .getByText(/^Retrying (in \d+ s\.|now)/)
    .waitFor();
  assert.equal(await cell(board, "cli", "decode").textContent(), before, "the numbers stay, dimmed");
  assert.equal(await cell(board, "cli", "state").textContent(), "unknown");

  await serve(t, { port: server.port });
  await board.locator('body[data-link="open"]').waitFor({ timeout: 15_000 });
  assert.equal(await board.locator("#disconnected").isVisible(), false);
  await run(...tracked(server.port, SHORT));
  await board.waitForFunction(() => document.querySelectorAll("#producers tr[data-instance]").length === 2);
  board.assertClean(/WebSocket connection to .* failed/); /* Chromium logs every refused connection itself */
});

test("hostile names are text, hostile numbers are no numbers", REAL, async (t) => {
  const server = await serve(t);
  const board = await openPage(t, shared, `${server.url}dashboard/`);
  const hostile = '<img src=x onerror="document.title=1"><b>x</b>';
  await board.evaluate(async (name) => {
    const socket = new WebSocket(`ws://${location.host}/tracker`, "bitnet-tracker.v1");
    await new Promise((resolve) => (socket.onopen = resolve));
    const metrics = [{ name: "constructor", unit: "<i>s</i>", kind: "gauge", help: name }];
    const what = { backend: "<b>wasm</b>", tier: "<script>top.x=1</script>", threads: 1, model: name, host: name, build: name.slice(0, 60), metrics };
    const hello = { type: "hello", proto: 1, role: "producer", name, instance: "abcdef0123456789" };
    const run = { epoch: 1, next_seq: 1, t_ms: Date.now(), started_ms: Date.now() };
    socket.send(JSON.stringify({ ...hello, ...run, ...what }));
    const m = { constructor: { n: 1, sum: 1e300, min: -1e300, max: 1e300, last: 1e300 } };
    socket.send(JSON.stringify({ type: "window", seq: 1, t_ms: Date.now(), span_ms: 100, dropped: 0, m }));
    window.producerSocket = socket; /* stays open while the page does */
  }, hostile);
  const row = board.locator("#producers > tbody > tr[data-instance]");
  await row.waitFor();
  assert.equal(await row.locator(".producer-name").textContent(), hostile);
  assert.equal(await row.locator('[data-column="backend"]').textContent(), "<b>wasm</b> · <script>top.x=1</script> × 1");
  assert.equal(await row.locator('[data-column="decode"]').textContent(), "–");
  await row.getByRole("button").click();
  const metric = board.locator(".metrics tbody tr");
  await metric.getByText("constructor").waitFor();
  assert.equal(await metric.locator("td").last().textContent(), hostile);
  assert.equal(await board.locator("main :is(img, script, b, i)").count(), 0);
  assert.equal(await board.title(), "Live · libbitnet");
  board.assertClean();
});
