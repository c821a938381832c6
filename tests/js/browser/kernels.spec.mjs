/* kernels.spec.mjs: the kernel checks of tests/kernels in a real Chromium, once per tier.
 *
 * The relaxed tier can be tested nowhere else: Node.js computes relaxed dot products wrongly in one of its
 * compilers. The modules are those of the wasm build, beside the pages: BITNET_WEB_ROOT/../wasm.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import test from "node:test";
import { openPage, REAL, ROOT, serveFolder, sharedBrowser, WEB_ROOT } from "./helpers.mjs";

const WASM = path.resolve(WEB_ROOT, "../wasm");
const PAGE = '<!doctype html><title>check</title><link rel="icon" href="data:,">';

const shared = sharedBrowser();

/* A module without its tier's kernels would pass every check it has left, so their number is checked too. */
const VARIANTS = { c: ["c"], simd128: ["c", "simd128"], relaxed: ["c", "simd128", "relaxed"] };

async function kernelsOf(tier) {
  const table = await readFile(path.join(ROOT, "core/kernels/kernels.def"), "utf8");
  const variants = [...table.matchAll(/^KERNEL\(\s*\w+,\s*(\w+)/gm)].map(([, variant]) => variant);
  return variants.filter((variant) => VARIANTS[tier].includes(variant)).length;
}

for (const tier of ["c", "simd128", "relaxed"]) {
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
    const [, checks, variants] =
      /^(\d+) checks of (\d+) variants, 0 failed$/.exec(lines.at(-1)) ?? assert.fail(lines.join("\n"));
    assert.equal(Number(variants), await kernelsOf(tier), "variants checked, and lines of kernels.def");
    assert.ok(Number(checks) > 1000, `${checks} checks`);
    page.assertClean();
  });
}
