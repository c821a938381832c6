/* board_access.spec.mjs: every view of the dashboard and every state of it before axe, light, dark and on a phone. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { openPage, REAL, ROOT, serve, sharedBrowser } from "./helpers.mjs";
import { decoding, gauge, kernels, produce } from "./producing.mjs";
import { remember, run } from "./remembered.mjs";

const shared = sharedBrowser();

const AXE = await readFile(`${ROOT}node_modules/axe-core/axe.min.js`, "utf8");

/** Everything that axe finds, each as "rule: element". */
async function findings(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`));
}

const RUNS = [run("a", { name: "before" }), run("b", { name: "after", rate: 260, build: "0.2.0", seed: 8 })];

const TRACE = [
  { ph: "X", pid: 1, tid: 1, ts: 0, dur: 100, name: "forward", args: { layer: 1 } },
  { ph: "X", pid: 1, tid: 1, ts: 10, dur: 50, name: "tern_matmul", args: { layer: 1, bytes: 10 } },
];

for (const [look, width, height] of [
  ["light", 1280, 720],
  ["dark", 1280, 720],
  ["dark", 375, 812],
]) {
  test(`axe finds nothing in any view and state, ${look}, ${width} wide, and nothing sticks out`, REAL, async (t) => {
    const server = await serve(t);
    const page = await openPage(t, shared, "about:blank");
    await page.emulateMedia({ colorScheme: look });
    await page.setViewportSize({ width, height });
    await remember(page, RUNS);
    await page.route((url) => url.pathname === "/t.json", (route) => route.fulfill({ json: TRACE }));
    const open = (hash) => page.goto(`${server.url}dashboard/${hash}`);
    const check = async (state) => {
      assert.deepEqual(await findings(page), [], state);
      const [page_, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(page_ <= screen, `${state}: ${page_} wide on a screen of ${screen}`);
    };
    await open("");
    await page.locator("#empty").waitFor();
    await check("nothing reports");

    const p = await produce(t, server, { name: "cli", expected: { decode_rate: 300 } });
    const lost = await produce(t, server, { name: "lost" });
    for (let i = 0; i < 3; i++) {
      p.window({ ...decoding(200, { joules: 0.1 }), memory_slope_low: gauge(500) }, { s: kernels({ tern_matmul: [1, 1e9], head: [1, 1e9] }), dropped: 4 });
      lost.window(decoding(100));
    }
    p.op({ id: 1, units: 10, unit: "token" });
    p.op({ id: 2, ok: false, error: "no such file" });
    p.gap(10);
    lost.end();
    await page.locator("#producers .state", { hasText: "lost" }).waitFor();
    await check("live");
    await page.locator("#producers .toggle").first().click();
    await check("a row open");
    for (const id of ["now", "throughput", "time", "latency", "requests", "health"]) {
      await page.locator(`#${id} .tools button`, { hasText: "Table" }).click();
    }
    await page.click("#freeze");
    await check("tables, frozen");

    await open("#history");
    await page.locator("#runs a").first().waitFor();
    await check("history, no run chosen");
    await open("#history?run=a");
    await page.locator("#run-metric-rows tr").first().waitFor();
    await page.locator("#run-chart canvas").waitFor();
    await check("a run");
    await open("#history?run=none");
    await page.locator("#run-state").getByText("there is no such run").waitFor();
    await check("a run that is not there");

    await open("#compare");
    await page.locator("#compare-state").getByText("Choose run A").waitFor();
    await check("compare, no run chosen");
    await open("#compare?a=a&b=b");
    await page.locator("#comparison-rows .verdict", { hasText: "faster" }).waitFor();
    await check("two runs");

    await open("#traces");
    await check("traces, none open");
    await open("#traces?trace=/t.json");
    await page.locator("#slice-rows button").first().click();
    await page.locator("#slice-facts").getByText("layer").waitFor();
    await check("a trace");
    await open("#traces?trace=/none.json");
    await page.locator("#trace-state.error").waitFor();
    await check("a trace that is not there");

    await open("#live");
    await server.stop("SIGKILL");
    await page.locator("#disconnected").waitFor();
    await check("the hub is away");
    page.assertClean(/404|WebSocket connection|ERR_CONNECTION/); /* axe asks for the style sheets again */
  });
}
