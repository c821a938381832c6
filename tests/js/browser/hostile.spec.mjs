/* hostile.spec.mjs: names, labels and errors of strangers in every view and export: text, whatever is in them.
 *
 * What a hub lets through comes through a real one; what it refuses (control characters, 64 KiB) comes
 * from a hub that lies. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { openPage, REAL, serve, sharedBrowser } from "./helpers.mjs";
import { decoding, gauge, produce } from "./producing.mjs";
import { remember, run } from "./remembered.mjs";

const shared = sharedBrowser();

/* Each tries something: markup, an attribute's end, a scheme, a formula, a template, right-to-left. At most 64 bytes,
 * what a hub takes as a name. */
const PAYLOADS = [
  '<img src=x onerror="window.hacked=1">',
  "<script>window.hacked=1</script>",
  "<svg/onload=window.hacked=1>",
  '"><img src=x onerror=window.hacked=1>',
  "' onmouseover='window.hacked=1",
  "</title><script>window.hacked=1</script>",
  "javascript:window.hacked=1",
  '=HYPERLINK("javascript:window.hacked=1")',
  "=cmd|'/c calc'!A0",
  "+1+cmd|' /c calc'!A0",
  "-2+3",
  "@SUM(1+1)",
  "${window.hacked=1}{{window.hacked=1}}",
  "[x](javascript:window.hacked=1)|`a`",
  "__proto__",
  "constructor",
  "שלום עולם مرحبا",
  "a\u202egnp.exe\u202c",
  "\u{1f600}\u{1f468}\u200d\u{1f469}\u200d\u{1f467}",
  "%3Cscript%3E&lt;script&gt;&#60;",
];

const COPIES = 25; /* of the payloads, each with a number: 500 names */

async function assertOnlyText(page, where) {
  const found = await page.evaluate(() => ({
    hacked: window.hacked,
    markup: document.querySelectorAll("main :is(img, script, iframe, object, embed, style, [onerror], [onload], [onmouseover])").length,
    links: [...document.querySelectorAll("a")].filter((a) => !/^https?:|^blob:/.test(a.href)).map((a) => a.href),
  }));
  assert.deepEqual(found, { hacked: undefined, markup: 0, links: [] }, where);
}

async function downloaded(page, button) {
  const [file] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
  return readFile(await file.path(), "utf8");
}

/** No cell of a CSV begins like a formula, unless it is a number. */
function assertNoFormulas(csv) {
  for (const line of csv.split("\r\n")) {
    for (const cell of line.match(/"(?:[^"]|"")*"|[^,]+/g) ?? []) {
      const value = cell.replace(/^"/, "");
      if (/^[-+]?[\d.]+(e[-+]?\d+)?$/i.test(value)) continue;
      assert.doesNotMatch(value, /^[=+\-@\t\r]/, `${cell} of ${line}`);
    }
  }
}

test("five hundred hostile names and labels through a real hub stay text in the live view and its exports", REAL, async (t) => {
  const server = await serve(t);
  const board = await openPage(t, shared, `${server.url}dashboard/`);
  for (const [i, name] of PAYLOADS.entries()) {
    const short = name.slice(0, 20);
    const metrics = [
      { name: "time_per_output_token", unit: "s", kind: "hist", help: name },
      { name: "kernel_time", unit: "s", kind: "counter", help: name },
      { name: `metric_${i}`, unit: short, kind: "gauge", help: name },
    ];
    const what = { backend: short, tier: short, model: name, host: name, build: name.slice(0, 40) };
    const p = await produce(t, server, { name, metrics, ...what });
    const { time_per_output_token } = decoding(100);
    const s = Array.from({ length: COPIES }, (_, n) => ({ name: "kernel_time", labels: { kernel: `${name} ${n}`, [`k${n}`]: name }, ...gauge(0.01) }));
    p.window({ time_per_output_token, [`metric_${i}`]: gauge(1) }, { s });
    p.op({ id: 1, op: name, strategy: short, ok: false, error: name, unit: short, units: 2, meta: { [short]: name } });
    p.peer.send({ type: "bye", reason: short, seq: 2 });
  }
  const rows = board.locator("#producers > tbody > tr[data-instance]");
  await board.waitForFunction((n) => document.querySelectorAll("#producers > tbody > tr[data-instance]").length === n, PAYLOADS.length);
  const shown = await rows.locator(".producer-name").allTextContents();
  assert.deepEqual([...shown].sort(), PAYLOADS.map((name) => name.replace(/[\u202e\u202c]/g, "\ufffd")).sort());
  for (const toggle of await board.locator("#producers .toggle").all()) await toggle.click();
  for (const id of ["now", "throughput", "time", "latency", "requests", "health"]) {
    await board.locator(`#${id} .tools button`, { hasText: "Table" }).click();
  }
  await board.waitForTimeout(500);
  await assertOnlyText(board, "live, every row and table open");
  const size = await board.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.equal(size[0], size[1], "nothing sticks out");
  assertNoFormulas(await downloaded(board, "#export-csv"));
  const { panels } = JSON.parse(await downloaded(board, "#export-json"));
  assert.ok(panels[0].rows.some(([name]) => name.endsWith(PAYLOADS[0])), "JSON holds the name as it is");
  assert.equal(await board.title(), "Live · libbitnet");
  board.assertClean();
});

test("hostile runs stay text in history, compare and their exports", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, "about:blank");
  const runs = PAYLOADS.map((name, i) => {
    const known = run(`run-${i}`, { name, model: name, host: name, build: name, backend: name, tier: name, reason: name, seed: i + 1 });
    const labels = { kernel: name };
    known.metrics.push({ ...known.metrics[0], name: name === "" ? "x" : name, labels, help: name, unit: name });
    known.operations.push({ ...known.operations[1], op: name, strategy: name, error: name, meta: { [name]: name } });
    known.gaps[0].reason = name;
    for (const series of Object.values(known.points)) known.points[name] = series;
    return known;
  });
  await remember(page, runs);
  await page.goto(`${server.url}dashboard/#history`);
  for (const i of PAYLOADS.keys()) {
    await page.goto(`${server.url}dashboard/#history?run=run-${i}&filter=${i % 2 ? "" : "0"}`);
    await page.locator("#run-facts").getByText(PAYLOADS[i].replace(/[\u202e\u202c]/g, "\ufffd"), { exact: true }).first().waitFor();
  }
  await assertOnlyText(page, "history");
  assertNoFormulas(await downloaded(page, "#export-csv"));
  await page.goto(`${server.url}dashboard/#compare?a=run-0&b=run-8`);
  await page.locator("#environment-rows .differs").first().waitFor();
  await page.locator("#comparison-rows tr").nth(2).waitFor();
  await assertOnlyText(page, "compare");
  assertNoFormulas(await downloaded(page, "#export-csv"));
  page.assertClean();
});

test("a hostile trace stays text", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, "about:blank");
  const events = PAYLOADS.flatMap((name, i) => [
    { ph: "M", pid: 1, tid: name, name: "thread_name", args: { name } },
    { ph: "X", pid: 1, tid: name, ts: i, dur: 5, name, args: { [name]: name, nested: { name } } },
  ]);
  await page.route((url) => url.pathname === "/t.json", (route) => route.fulfill({ json: events }));
  await page.goto(`${server.url}dashboard/#traces?trace=/t.json`);
  await page.locator("#slice-rows button").first().waitFor();
  for (const button of await page.locator("#slice-rows button").all()) await button.click();
  await assertOnlyText(page, "traces");
  assertNoFormulas(await downloaded(page, "#export-csv"));
  page.assertClean();
});

test("a hub that lies, with control characters and names of 64 KiB, breaks nothing", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, "about:blank");
  const names = ["\u0000\u0007\u001b[31mred\u001b[0m", "line\nbreak\r\ttab", "x".repeat(65_536), "\u2066\u202eabc", "\ud800"];
  await page.routeWebSocket(/\/tracker$/, (ws) => {
    const say = (message) => ws.send(JSON.stringify(message));
    say({ type: "welcome", proto: 1, hub: names[0], t_ms: Date.now() });
    names.forEach((name, i) => {
      const metrics = [{ name: "time_per_output_token", unit: name, kind: "hist", help: name }];
      const facts = { backend: name, tier: name, threads: 1e9, model: name, host: name, build: name };
      say({ type: "hello", producer: i, name, instance: `i${name}`, ...facts, metrics, expected: { [name]: 1 } });
      const m = Object.fromEntries(["time_per_output_token", "__proto__", name].map((key) => [key, { n: 1, sum: 1e300, min: -1, max: 1, last: 1, b: [0, 1] }]));
      say({ type: "window", producer: i, seq: 1, t_ms: Date.now(), span_ms: -5, dropped: 1e308, m });
      const s = Array.from({ length: 2_500 }, (_, n) => ({ name: "kernel_time", labels: { kernel: `${name.slice(0, 50)}${n}` }, n: 1, sum: 1 }));
      say({ type: "window", producer: i, seq: 2, t_ms: Date.now(), span_ms: 1, dropped: 0, m: {}, s });
      say({ type: "op", producer: i, seq: 3, t_ms: Date.now(), id: 1, op: name, strategy: name, duration_s: 1, ok: false, error: name });
      say({ type: "gap", producer: i, seq: 4, to: 9e15, n: 1e15, reason: name });
      say({ type: "alert", producer: i, rule: name, metric: name, state: "firing", value: 1, limit: 2, t_ms: 0 });
    });
    say({ type: "health", status: names[1], reasons: names, store: names[1] });
    ws.send("{");
    ws.send("x".repeat(1_000_000));
  });
  await page.goto(`${server.url}dashboard/`);
  const shown = page.locator("#producers .producer-name");
  await page.waitForFunction((n) => document.querySelectorAll("#producers .producer-name").length === n, names.length);
  const texts = await shown.allTextContents();
  assert.deepEqual(texts.map((text) => text.length), [14, 15, 201, 5, 1]);
  for (const text of texts) assert.doesNotMatch(text, /[\u0000-\u001f\u202a-\u202e\u2066-\u2069]/);
  await page.locator("#breakdown .bars li").nth(7).waitFor();
  assert.match(await page.locator("#breakdown .part").nth(7).textContent(), /^993 others$/);
  await assertOnlyText(page, "a hub that lies");
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 1280, "nothing sticks out");
  page.assertClean();
});
