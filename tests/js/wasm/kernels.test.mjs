// kernels.test.mjs: tests/kernels inside a module: every simd128 kernel gives the bits of the plain C one.
import assert from "node:assert/strict";
import test from "node:test";
import { startModule } from "./module.mjs";

test("every simd128 kernel gives the bits of the plain C one", async () => {
  const module = await startModule("check-simd128");
  const failed = module._bitnet_check_kernels();
  assert.equal(failed, 0, module.lines.join("\n"));
  assert.match(module.lines.at(-1), /^[1-9]\d* checks of ([2-9]|\d\d+) variants, 0 failed$/);
});
