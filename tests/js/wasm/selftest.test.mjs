// selftest.test.mjs: a module's test of its own kernels passes, and fails when a kernel is wrong; rates are rates.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { importTs } from "./load_ts.mjs";
import { ROOT, startModule } from "./module.mjs";

const { wrongKernel, WarmTest } = await importTs("selftest");
const { ProbeKind, RateProbe } = await importTs("glue");
const SLOTS = readFileSync(new URL("core/kernels/kernels.def", ROOT), "utf8")
  .match(/^KERNEL\(\s*\w+,\s*simd128/gm)
  .map((line) => /\w+/.exec(line.slice(7))[0]);

const instanceOf = (glue) => ({ glue, memory: glue.memory });

/** Where the code of a function lies in a module: its name says which one it is. */
function functionBody(bytes, wanted) {
  const module = new WebAssembly.Module(bytes);
  const names = new Uint8Array(WebAssembly.Module.customSections(module, "name")[0]);
  const nImports = WebAssembly.Module.imports(module).filter(({ kind }) => kind === "function").length;
  const reader = (source, at = 0) => {
    const number = () => {
      let value = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = source[at++];
        value += (byte & 127) * 2 ** shift;
        if (byte < 128) return value;
      }
    };
    const text = (n) => new TextDecoder().decode(source.subarray(at, (at += n)));
    return { number, byte: () => source[at++], skip: (n) => (at += n), at: () => at, text };
  };
  const section = reader(names);
  let index = -1;
  while (section.at() < names.length && index < 0) {
    const kind = section.byte();
    const size = section.number();
    if (kind !== 1) section.skip(size);
    for (let n = kind === 1 ? section.number() : 0; n > 0; n--) {
      const found = section.number();
      if (section.text(section.number()) === wanted) index = found;
    }
  }
  assert.ok(index >= nImports, `${wanted} is a function of the module`);
  const code = reader(bytes, 8);
  for (;;) {
    const kind = code.byte();
    const size = code.number();
    if (kind !== 10) {
      code.skip(size);
      continue;
    }
    code.number();
    for (let n = nImports; ; n++) {
      const length = code.number();
      if (n === index) return { at: code.at(), length };
      code.skip(length);
    }
  }
}

/** The module with the body of one kernel made empty: "no locals, nops, end". */
async function startWithout(kernel) {
  const bytes = new Uint8Array(readFileSync(new URL("build/wasm/bitnet-simd128.wasm", ROOT)));
  const { at, length } = functionBody(bytes, kernel);
  bytes.fill(0x01, at, at + length);
  bytes[at] = 0;
  bytes[at + length - 1] = 0x0b;
  if (kernel.includes("softmax")) bytes.set([0x43, 0, 0, 0, 0], at + 1); /* it returns a float */
  return startModule("bitnet-simd128", { bytes });
}

for (const name of ["bitnet-c", "bitnet-simd128"]) {
  test(`the kernels of ${name} pass, cold and warm, with recorded and other inputs`, async () => {
    const glue = await startModule(name);
    assert.equal(wrongKernel(instanceOf(glue)), undefined);
    assert.equal(wrongKernel(instanceOf(glue), 50), undefined);
    assert.equal(glue._bitnet_selftest(77777, 3), 0);
  });
}

for (const slot of SLOTS) {
  test(`a module whose ${slot} does nothing fails its test and names it`, async () => {
    const instance = instanceOf(await startWithout(`bitnet_${slot}_simd128`));
    assert.ok(wrongKernel(instance, 1)?.includes(slot), wrongKernel(instance, 1));
  });
}

test("plain C kernels that changed are noticed by the recorded results", async () => {
  const bytes = new Uint8Array(readFileSync(new URL("build/wasm/bitnet-c.wasm", ROOT)));
  const { at, length } = functionBody(bytes, "bitnet_tern_matmul_c");
  bytes.fill(0x01, at, at + length);
  bytes[at] = 0;
  bytes[at + length - 1] = 0x0b;
  assert.equal(wrongKernel(instanceOf(await startModule("bitnet-c", { bytes }))), "the plain C kernels");
});

test("after warm-up the kernels are tested again, and a module that began to err ends with a code", async () => {
  const glue = await startModule("bitnet-simd128");
  const rounds = [];
  let wrong = 0;
  const counted = (seed, n) => {
    rounds.push(n);
    return wrong || glue._bitnet_selftest(seed, n);
  };
  const warm = new WarmTest({ glue: { ...glue, _bitnet_selftest: counted }, memory: glue.memory });
  for (let i = 0; i < 100; i++) warm.afterSlice();
  assert.equal(rounds.length, 1);
  const text = new TextEncoder().encode("scan6\0");
  wrong = glue._malloc(text.length);
  new Uint8Array(glue.memory.buffer).set(text, wrong);
  const goOn = () => {
    for (let i = 0; i < 1000; i++) warm.afterSlice();
  };
  assert.throws(goOn, { code: "wasm.selftest", message: /began to compute wrongly \(scan6\)/ });
});

test("every rate is a positive number, on one thread where there is one", async () => {
  const probe = RateProbe.create(instanceOf(await startModule()), 1 << 20);
  assert.equal(probe.setThreads(4), 1);
  for (const [name, kind] of Object.entries(ProbeKind)) {
    const rate = probe.rate(kind, 1 << 18, 1);
    assert.ok(rate > 0 && Number.isFinite(rate), `${name}: ${rate}`);
  }
  assert.equal(probe.rate(ProbeKind.tern, 16, 1), 0, "a piece too small for one row");
  probe.free();
});

test("a probe that finds no memory says so", async () => {
  assert.equal(RateProbe.create(instanceOf(await startModule("bitnet-c", { maximumMb: 16 })), 64 << 20), undefined);
});
