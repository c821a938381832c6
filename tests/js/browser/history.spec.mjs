/* history.spec.mjs: the history and compare views, before a hub whose answers are known (remembered.mjs). */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { openPage, REAL, serve, sharedBrowser } from "./helpers.mjs";
import { remember, run } from "./remembered.mjs";

const shared = sharedBrowser();

const [A, B, C] = ["01JD0000000000000000000001", "01JD0000000000000000000002", "01JD0000000000000000000003"];
const runs = () => [
  run(A, { name: "before", seed: 3 }),
  run(B, { name: "after", seed: 9, rate: 236, build: "0.1.0 53e4205" }),
  run(C, { name: "tab", seed: 5, backend: "wasm", tier: "relaxed", host: "Chromium 130, 8 CPUs" }),
];

async function openView(t, hash, known = runs()) {
  const server = await serve(t);
  const page = await openPage(t, shared, "about:blank");
  const asked = [];
  await remember(page, known, asked);
  await page.goto(`${server.url}dashboard/${hash}`);
  return { page, asked, server };
}

test("runs are listed newest first, filtered by any word of theirs, and opened by a link", REAL, async (t) => {
  const { page } = await openView(t, "#history");
  const names = page.locator("#runs .run-name");
  await names.first().waitFor();
  assert.deepEqual(await names.allTextContents(), ["after", "tab", "before"]);
  await page.fill("#run-filter", "WASM chromium");
  assert.deepEqual(await names.allTextContents(), ["tab"]);
  await page.fill("#run-filter", "no such thing");
  await page.locator("#runs-state").getByText("No run matches the filter.").waitFor();
  await page.fill("#run-filter", "before");
  await names.first().click();
  await page.locator("#run-title").getByText("before").waitFor();
  assert.match(page.url(), new RegExp(`#history\\?.*run=${A}`));
  assert.equal(await page.locator("#runs a[aria-current]").count(), 1);
  page.assertClean();
});

test("a run shows where it ran, its metrics, a metric over time with its gaps, and its operations", REAL, async (t) => {
  const { page, asked } = await openView(t, `#history?run=${A}&metric=memory&resolution=minute`);
  const facts = page.locator("#run-facts");
  await facts.waitFor();
  for (const text of ["AMD EPYC 9B14, 2 CPUs", "cpu · avx512vnni × 2", "0.1.0 19cf141", "00:00:30, ended", "240, 180 samples lost"]) {
    await facts.getByText(text, { exact: true }).waitFor();
  }
  const rows = await page.locator("#run-metric-rows tr").evaluateAll((all) => all.map((r) => [...r.cells].map((c) => c.textContent)));
  assert.deepEqual(rows[0], ["time per output token", "5.0 ms", "4.9 ms", "6.0 ms", "4.0 / 10 ms", "6,000"]);
  assert.deepEqual(rows[2].slice(0, 3), ["generation tokens", "6,000 tokens", "–"]);
  assert.equal(await page.locator("#run-metric").inputValue(), "memory", "the address holds the metric");
  await page.locator("#run-metric-help").getByText("resident memory; 120 points, resolution minute, 1 gap marked red").waitFor();
  await page.selectOption("#run-metric", "time_per_output_token");
  await page.locator("#run-metric-help").getByText(/^one decode step; 120 points/).waitFor();
  const question = asked.filter((q) => q.metric).at(-1);
  assert.deepEqual(question, { run: A, metric: "time_per_output_token", resolution: "minute", points: "500" });
  const colours = await page.evaluate(() => {
    const canvas = document.querySelector("#run-chart canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const of = (name) => {
      const colour = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
      const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
      let n = 0;
      for (let i = 0; i < data.length; i += 4) if (data[i] === r && data[i + 1] === g && data[i + 2] === b) n++;
      return n;
    };
    return { line: of("--series-1"), gap: of("--bad") };
  });
  assert.ok(colours.line > 100, `${colours.line} pixels of line`);
  assert.ok(colours.gap > 100, `${colours.gap} pixels say that samples were lost`);
  const operations = page.locator("#run-operation-list tr");
  assert.deepEqual(await operations.nth(0).locator("td").allTextContents(), ["#2", "load mmap", "–", "10 ms", "failed"]);
  assert.equal(await operations.nth(1).textContent(), "no such file");
  assert.deepEqual(await operations.nth(2).locator("td").allTextContents(), ["#1", "generate avx512vnni", "128 tokens", "1.3 s", "ok"]);
  page.assertClean();
});

test("a run is exported by the hub, what is shown by the page", REAL, async (t) => {
  const { page, asked } = await openView(t, `#history?run=${A}`);
  await page.locator("#run-csv").waitFor();
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("#run-csv")]);
  assert.equal(file.suggestedFilename(), `bitnet-run-${A}.csv`);
  assert.equal(await readFile(await file.path(), "utf8"), "exported");
  assert.deepEqual(asked.at(-1), { method: "POST", format: "csv", run: A });
  const [shown] = await Promise.all([page.waitForEvent("download"), page.click("#export-json")]);
  const { panels } = JSON.parse(await readFile(await shown.path(), "utf8"));
  assert.deepEqual(panels.map(({ title }) => title), ["Runs", "Metrics", "Over time", "Operations"]);
  assert.equal(panels[2].rows.length, 120);
  page.assertClean();
});

test("a hub without history, one that is busy, one that is away: each says what to do", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, "about:blank");
  const answers = [
    [{ status: 404, body: "" }, /This hub keeps no history: it is older than this page/],
    [{ status: 404, contentType: "text/plain; charset=utf-8", body: "This server keeps no history.\n" }, /^This server keeps no history\.$/],
    [{ status: 401, body: "" }, /asks for its token: open the address that it printed/],
    [{ status: 503, json: { error: { message: "the store is being checked" } } }, /try again in a few seconds.*the store is being checked/],
    [{ status: 500, body: "<b>oh</b>" }, /status 500/],
    [{ status: 200, body: "not json" }, /not what this page understands/],
    [{ status: 200, json: { runs: [] } }, /recorded no run yet.*--track/],
    ["abort", /does not answer. Start it with: bitnet serve/],
  ];
  let answer;
  await page.route("**/performance/history*", (route) => (answer === "abort" ? route.abort() : route.fulfill(answer)));
  await page.goto(`${server.url}dashboard/`);
  for (const [given, sentence] of answers) {
    answer = given;
    await page.goto(`${server.url}dashboard/#live`);
    await page.goto(`${server.url}dashboard/#history`);
    await page.locator("#runs-state").getByText(sentence).waitFor();
    if (given.json?.runs) continue;
    await page.goto(`${server.url}dashboard/#compare?a=x&b=y`);
    await page.locator("#compare-state").getByText(sentence).waitFor();
  }
  page.assertClean(/status of|Failed to load|^(401|404|500|503) /); /* Chromium logs what it was answered itself */
});

test("a run that the hub has forgotten is said to be", REAL, async (t) => {
  const { page } = await openView(t, "#history?run=01JD0000000000000000000009");
  await page.locator("#run-state").getByText("there is no such run").waitFor();
  page.assertClean(/status of|^404 /);
});

test("two runs are compared: environment first, then ratios with intervals and verdicts", REAL, async (t) => {
  const { page } = await openView(t, `#compare?a=${A}&b=${B}`);
  const rows = page.locator("#comparison-rows tr");
  await page.locator("#comparison-rows .verdict", { hasText: "faster" }).waitFor();
  assert.equal(
    await page.locator("#environment-verdict").textContent(),
    "The runs differ in build and in nothing else that was recorded.",
  );
  const build = page.locator("#environment-rows tr", { hasText: "build" });
  assert.deepEqual(await build.locator("td").allTextContents(), ["0.1.0 19cf141", "0.1.0 53e4205", "≠ differs"]);
  const texts = await rows.evaluateAll((all) => all.map((r) => [...r.cells].map((c) => c.textContent)));
  const [name, a, b, ratio, n, verdict] = texts[0];
  assert.deepEqual([name, a, b, n, verdict], ["time per output token", "4.9 / 6.0 ms", "4.2 / 5.1 ms", "120 + 120", "▲ faster"]);
  const [at, low, high] = ratio.match(/[\d.]+/g).map(Number);
  assert.ok(low < at && at < high && low > 0.8 && high < 0.9, `200 / 236 = 0.847 is measured as ${ratio}`);
  assert.equal(texts[1].at(-1), "= same", "memory");
  assert.deepEqual(texts[2].slice(3), ["–", "–", "–"], "a total has no mean to compare");

  await page.fill("#effect", "50");
  await page.locator("#comparison-rows .verdict", { hasText: "same" }).nth(1).waitFor();
  assert.match(page.url(), /effect=50/);
  await page.fill("#effect", "2");
  await page.click("#swap");
  await page.locator("#comparison-rows .verdict", { hasText: "slower" }).waitFor();
  assert.match(page.url(), new RegExp(`a=${B}&b=${A}`));
  page.assertClean();
});

test("runs of two machines are compared with a warning before any number", REAL, async (t) => {
  const { page } = await openView(t, `#compare?a=${A}`);
  await page.locator("#compare-state").getByText("Choose run A").waitFor();
  await page.selectOption("#compare-b", C);
  await page.locator("#environment-verdict").getByText(/^The runs differ in host, backend, tier: a ratio below may come/).waitFor();
  assert.match(page.url(), new RegExp(`b=${C}`));
  page.assertClean();
});
