/* kernels.spec.mjs: the kernel checks of tests/kernels in a real Chromium, once per SIMD tier.
 *
 * The relaxed tier can be tested nowhere else: Node.js computes relaxed dot products wrongly in one of its
 * compilers. The modules are those of the wasm build, beside the pages: BITNET_WEB_ROOT/../wasm.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { openPage, REAL, serveFolder, sharedBrowser, WEB_ROOT } from "./helpers.mjs";

const WASM = path.resolve(WEB_ROOT, "../wasm");
const PAGE = '<!doctype html><title>check</title><link rel="icon" href="data:,">';

const shared = sharedBrowser();

for (const tier of ["simd128", "relaxed"]) {
  test(`every kernel of the tier ${tier} gives the bits of the plain C one in Chromium`, REAL, async (t) => {
    const file = `check-${tier}.mjs`;
    assert.ok(existsSync(path.join(WASM, file)), `${path.join(WASM, file)} is missing: build first`);
    const url = await serveFolder(t, WASM, { "/": PAGE });
    const page = await openPage(t, shared, url);
    const { failures, lines } = await page.evaluate(async (name) => {
      const lines = [];
      const { default: factory } = await import(`./${name}`);
      const module = await factory({ print: (line) => lines.push(line), printErr: (line) => lines.push(line) });
      return { failures: module._bitnet_check_kernels(), lines };
    }, file);
    assert.equal(failures, 0, lines.join("\n"));
    const checked = lines.filter((line) => line.includes(tier));
    assert.ok(checked.length > 0, `the module names no ${tier} kernel among its checks:\n${lines.join("\n")}`);
    page.assertClean();
  });
}
