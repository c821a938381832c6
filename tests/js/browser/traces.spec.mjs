/* traces.spec.mjs: the traces view: opening files, what is no trace, moving about, and a large file. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import test from "node:test";
import { openPage, REAL, run, serve, sharedBrowser, temporaryFolder } from "./helpers.mjs";

const shared = sharedBrowser();

const slice = (tid, ts, dur, name, args = {}) => ({ ph: "X", pid: 1, tid, ts, dur, name, args });
const named = (tid, name) => ({ ph: "M", pid: 1, tid, name: "thread_name", args: { name } });

/** Tokens of six layers on one thread, and a worker beside it. */
function traceOf(tokens) {
  const events = [named(1, "engine"), named(2, "worker 1")];
  let ts = 0;
  for (let token = 0; token < tokens; token++) {
    const began = ts;
    for (let layer = 0; layer < 6; layer++) {
      events.push(slice(1, ts, 150, "tern_matmul", { layer, bytes: 6144, ops: 24576 }));
      events.push(slice(2, ts + 5, 140, "tern_matmul", { layer }));
      events.push(slice(1, ts + 150, 50, "attention", { layer }));
      ts += 210;
    }
    events.push(slice(1, began, ts - began, "forward", { tokens: 1 }));
  }
  return { displayTimeUnit: "ns", traceEvents: events };
}

const upload = (page, name, text) =>
  page.setInputFiles("#trace-file", { name, mimeType: "application/json", buffer: Buffer.from(text) });

async function openTraces(t, hash = "#traces") {
  const server = await serve(t);
  const page = await openPage(t, shared, "about:blank");
  await page.route((url) => url.pathname === "/run.json", (route) => route.fulfill({ json: traceOf(4) }));
  await page.goto(`${server.url}dashboard/${hash}`);
  return page;
}

test("a trace opens from the address, with its slices by time and its threads", REAL, async (t) => {
  const page = await openTraces(t, "#traces?trace=/run.json");
  await page.locator("#trace-facts").getByText(/^5\.0 ms · 76 slices in 2 threads · [\d.]+ kB$/).waitFor();
  const rows = await page.locator("#slice-rows tr").evaluateAll((all) => all.map((r) => [...r.cells].map((c) => c.textContent)));
  assert.deepEqual(rows, [
    ["tern_matmul", "7.0 ms", "83 %", "7.0 ms", "48"],
    ["attention", "1.2 ms", "14 %", "1.2 ms", "24"],
    ["forward", "240 µs", "2.9 %", "5.0 ms", "4"],
  ]);
  await page.locator("#slice-rows button", { hasText: "forward" }).click();
  const facts = () => page.locator("#slice-facts div").evaluateAll((all) => all.map((d) => [...d.children].map((c) => c.textContent)));
  await page.locator("#slice-facts").getByText("tokens").waitFor();
  assert.deepEqual(await facts(), [
    ["name", "forward"],
    ["thread", "engine"],
    ["starts at", "0 µs"],
    ["takes", "1.3 ms"],
    ["by itself", "60 µs"],
    ["tokens", "1"],
  ]);
  await page.locator("#flame-panel").getByRole("button", { name: "Table" }).click();
  const threads = await page.locator("#flame-panel .as-table td").allTextContents();
  assert.deepEqual(threads, ["engine", "52", "5.0 ms", "100 %", "worker 1", "24", "3.4 ms", "67 %"]);
  page.assertClean();
});

test("what bitnet trace writes opens, with its threads and kernels", REAL, async (t) => {
  const file = path.join(await temporaryFolder(t), "run.json");
  const done = await run("trace", "-p", "Once upon a time", "-n", "20", "-t", "2", "-o", file);
  assert.equal(done.code, 0, done.stderr);
  const page = await openTraces(t);
  await page.setInputFiles("#trace-file", file);
  const names = page.locator("#slice-rows th");
  await names.first().waitFor();
  const all = await names.allTextContents();
  for (const name of ["request", "decode", "forward", "attention", "head"]) assert.ok(all.includes(name), all.join());
  await page.locator("#flame-panel").getByRole("button", { name: "Table" }).click();
  const threads = await page.locator("#flame-panel .as-table tbody td:first-child").allTextContents();
  assert.deepEqual(threads, ["engine", "worker 1"]);
  page.assertClean();
});

test("the flame view is moved by keys and by the pointer", REAL, async (t) => {
  const page = await openTraces(t, "#traces?trace=/run.json");
  await page.locator("#slice-rows tr").first().waitFor();
  const picture = () => page.locator("#flame canvas").evaluate((canvas) => canvas.toDataURL());
  const drawn = async (what, act) => {
    const before = await picture();
    await act();
    await page.waitForFunction((old) => document.querySelector("#flame canvas").toDataURL() !== old, before, { timeout: 5_000 });
    assert.ok(true, what);
    return before;
  };
  await page.focus("#flame");
  await page.waitForTimeout(100); /* a frame for what is drawn first */
  const whole = await drawn("plus zooms in", () => page.keyboard.press("+"));
  await drawn("arrows move", () => page.keyboard.press("ArrowRight"));
  await page.keyboard.press("0");
  await page.waitForFunction((old) => document.querySelector("#flame canvas").toDataURL() === old, whole);
  await drawn("the wheel zooms", async () => {
    await page.hover("#flame");
    await page.mouse.wheel(0, -300);
  });
  await page.keyboard.press("0");
  await page.keyboard.press("n");
  await page.locator("#slice-facts").getByText("forward").waitFor();
  const box = await page.locator("#flame").boundingBox();
  await page.mouse.click(box.x + 20, box.y + 20 + 18 + 30); /* ruler, the thread's name, the second lane */
  await page.locator("#slice-facts").getByText("tern_matmul").waitFor();
  page.assertClean();
});

test("what is no trace is refused with a sentence, and a trace after it opens", REAL, async (t) => {
  const page = await openTraces(t);
  const cases = [
    ["notes.txt", "hello", /notes\.txt: This is no trace: it is not JSON/],
    ["empty.json", '{"traceEvents":[]}', /holds no slices/],
    ["data.json", '{"a":1}', /neither a list "traceEvents"/],
  ];
  for (const [name, text, why] of cases) {
    await upload(page, name, text);
    await page.locator("#trace-state.error").getByText(why).waitFor();
    assert.equal(await page.locator("#traced").isVisible(), false);
  }
  const text = JSON.stringify(traceOf(1));
  await upload(page, "good.json", text);
  await page.locator("#trace-name").getByText("good.json").waitFor();
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("#trace-save")]);
  assert.equal(file.suggestedFilename(), "good.json");
  assert.equal(await readFile(await file.path(), "utf8"), text);
  page.assertClean();
});

test("a trace is dropped on the page, and not fetched from elsewhere", REAL, async (t) => {
  const page = await openTraces(t, "?trace=https://example.org/run.json");
  await page.locator("#trace-state.error").getByText(/from this server only/).waitFor();
  await page.evaluate((text) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], "dropped.json"));
    const event = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
    document.querySelector("#view-traces").dispatchEvent(event);
  }, JSON.stringify(traceOf(2)));
  await page.locator("#trace-name").getByText("dropped.json").waitFor();
  page.assertClean();
});

test("a file that is not there, and a server that is away, are said so", REAL, async (t) => {
  const page = await openTraces(t, "#traces?trace=/nothing.json");
  await page.locator("#trace-state.error").getByText("There is no trace at /nothing.json: the server answered 404.").waitFor();
  page.assertClean(/404/);
});

/* What a person notices; a frame is 17 ms, and other programs run beside the test. */
const FROZEN_MS = 1_000;

test("a trace of fifty megabytes is read while the page goes on", REAL, async (t) => {
  const page = await openTraces(t);
  await page.evaluate(() => {
    window.longest = 0;
    let last = performance.now();
    const beat = () => {
      const now = performance.now();
      window.longest = Math.max(window.longest, now - last);
      last = now;
      setTimeout(beat, 10);
    };
    /* As large as the browser makes it itself: 430,000 slices. */
    const events = [];
    for (let i = 0; i < 430_000; i++) {
      events.push(`{"ph":"X","pid":1,"tid":${i % 4},"ts":${i * 3},"dur":2.5,"name":"kernel_${i % 40}","args":{"layer":${i % 30},"bytes":6144,"ops":24576}}`);
    }
    const file = new File([`{"traceEvents":[${events.join(",\n")}]}`], "large.json");
    window.size = file.size;
    const transfer = new DataTransfer();
    transfer.items.add(file);
    last = performance.now();
    beat();
    document.querySelector("#view-traces").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
  });
  await page.locator("#trace-facts").getByText(/430,000 slices in 4 threads/).waitFor({ timeout: 60_000 });
  await page.focus("#flame");
  for (const key of ["+", "+", "ArrowRight", "-"]) await page.keyboard.press(key);
  const { size, longest } = await page.evaluate(() => ({ size: window.size, longest: window.longest }));
  assert.ok(size > 45e6, `${size} bytes`);
  assert.ok(longest < FROZEN_MS, `the page stood still for ${longest} ms`);
  page.assertClean();
});
