// package.test.mjs: what npm would publish: these files, small enough, typed for both ways of resolving.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { ROOT } from "./module.mjs";

const root = fileURLToPath(ROOT);
const MODULES = ["c", "simd128", "relaxed"].flatMap((tier) => [tier, `${tier}-mt`]);
const PACKAGE_CAP = 1100 * 1024; /* what npm downloads: six modules, their loaders, bundles, maps and types */
const MODULE_GZIP_CAP = 160 * 1024; /* a module with its loader, compressed as servers do */

const ENTRIES = ["index", "worker", "openai", "tracker"];

test("the package holds dist and nothing unexpected, and is small", () => {
  const out = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8" });
  const [{ files: packed, size }] = JSON.parse(out);
  assert.ok(size <= PACKAGE_CAP, `${size} bytes packed`);
  const files = packed.map((file) => file.path);
  const required = ["package.json", "LICENSE", "README.md"];
  for (const name of ENTRIES) required.push(`dist/${name}.js`, `dist/${name}.d.ts`);
  for (const name of MODULES) {
    required.push(`dist/bitnet-${name}.mjs`, `dist/bitnet-${name}.wasm`);
  }
  for (const file of required) assert.ok(files.includes(file), `${file} is missing`);
  const allowed = [
    /^(package\.json|LICENSE|README\.md)$/,
    /^dist\/(index|worker|openai|tracker)\.js(\.map)?$/,
    /^dist\/(index|worker|openai|tracker|types|errors|metrics\.gen|storage)\.d\.ts$/,
    /^dist\/bitnet-(c|simd128|relaxed)(-mt)?\.(mjs|wasm|worker\.js)$/,
  ];
  assert.deepEqual(files.filter((file) => !allowed.some((pattern) => pattern.test(file))), []);
});

for (const name of MODULES) {
  test(`module ${name} stays under 160 KiB on the wire`, () => {
    const size = ["wasm", "mjs"].reduce((sum, ext) => {
      return sum + gzipSync(readFileSync(path.join(root, `dist/bitnet-${name}.${ext}`))).length;
    }, 0);
    assert.ok(size <= MODULE_GZIP_CAP, `${size} bytes`);
  });
}

test("the modules carry no sections that only a debugger reads", () => {
  for (const name of MODULES.filter((name) => !name.startsWith("relaxed"))) { /* which Node.js refuses */
    const module = new WebAssembly.Module(readFileSync(path.join(root, `build/wasm/bitnet-${name}.wasm`)));
    assert.equal(WebAssembly.Module.customSections(module, "name").length, 1, "the linker writes names");
    const shipped = new WebAssembly.Module(readFileSync(path.join(root, `dist/bitnet-${name}.wasm`)));
    for (const section of ["name", "producers", "target_features"]) {
      assert.equal(WebAssembly.Module.customSections(shipped, section).length, 0, `${name}: ${section}`);
    }
    assert.deepEqual(WebAssembly.Module.exports(shipped), WebAssembly.Module.exports(module));
  }
});

test("every export leads to a file, its types come first, and nothing has side effects", () => {
  const { exports, sideEffects, dependencies } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
  assert.deepEqual(Object.keys(exports), [".", "./openai", "./tracker", "./worker", "./package.json"]);
  for (const [name, target] of Object.entries(exports)) {
    if (name === "./package.json") continue;
    assert.equal(Object.keys(target)[0], "types", name);
    for (const file of Object.values(target)) assert.ok(existsSync(path.join(root, file)), `${name}: ${file}`);
  }
  assert.equal(sideEffects, false);
  assert.equal(dependencies, undefined);
});

test("no file that a page loads names another origin", () => {
  for (const file of [...ENTRIES.map((name) => `${name}.js`), "bitnet-simd128.mjs", "bitnet-relaxed-mt.mjs"]) {
    const source = readFileSync(path.join(root, "dist", file), "utf8").replaceAll(/^\s*(\*|\/[/*]).*$/gm, "");
    assert.doesNotMatch(source, /["'`](https?:)?\/\/[a-z]/, file);
  }
});

test("every import and URL between the built files leads to a file", () => {
  const dist = path.join(root, "dist");
  let n = 0;
  for (const file of ["index.js", "worker.js", "bitnet-simd128.mjs", "bitnet-relaxed-mt.mjs"]) {
    const source = readFileSync(path.join(dist, file), "utf8");
    const links = /(?:import\(|from |new URL\()\s*["'](\.?\/?[\w.-]+\.(?:js|mjs|wasm))["']/g;
    for (const [, target] of source.matchAll(links)) {
      n++;
      assert.ok(existsSync(path.join(dist, target)), `${file} wants ${target}`);
    }
  }
  assert.ok(n >= 7, `only ${n} links were found`);
});

for (const resolution of ["nodenext", "bundler"]) {
  test(`a TypeScript user finds the types with module resolution ${resolution}`, (t) => {
    const folder = mkdtempSync(path.join(root, "build/types-user-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const user = path.join(folder, "user.mts");
    writeFileSync(
      user,
      `import { BitnetError, load, METRIC_DEFINITIONS, predict, type ChatMessage, type Model } from "libbitnet";
       import type { MetricDefinition, ModelInfo } from "libbitnet";
       import type { Prediction, TrackerMessage } from "libbitnet";
       import { OpenAI, type ChatCompletionChunk, type Stream } from "libbitnet/openai";
       import { collect, type WindowMessage } from "libbitnet/tracker";
       const model: Model = await load(new URL("https://a.example/m.gguf"), { tier: "relaxed", threads: 2 });
       const info: ModelInfo = model.info;
       const found: Prediction = await predict("x", { stagedHead: "on", workerUrl: "w.js", wasmUrl: "modules/" });
       for await (const { token, text } of model.generate("a", { maxTokens: 3 })) console.log(token + 1, text.length);
       const { tokenIds, timings } = await model.generate(info.name).result;
       const rate: number = tokenIds.length / timings.decode_s;
       const talk: ChatMessage[] = [{ role: "user", content: "a" }];
       const answer = await model.generate(talk, { stop: ["b"], logitBias: { 7: -1 } }).result;
       const cached: number = answer.usage.cachedTokens + (await model.perplexity("a b c")).nTokens;
       const speed: number | null = answer.metrics.decode_tokens_per_second ?? (await model.metrics()).tokens_per_ms;
       await model.resetMetrics();
       const help: MetricDefinition | undefined = METRIC_DEFINITIONS.find(({ name }) => name === "ttft_s");
       console.log(speed, help?.definition);
       // @ts-expect-error: what was not measured is null
       const sure: number = answer.metrics.ttft_s;
       await model.loadState(await model.saveState());
       const reports = collect((message: TrackerMessage) => console.log(message.type));
       const windows: readonly WindowMessage[] = reports.windows;
       await load("x", { track: reports });
       await load("x", { track: { url: "ws://a", onState: ({ state }) => console.log(state, cached, windows) } });
       const { chat } = new OpenAI(model);
       const stream: Stream<ChatCompletionChunk> = await chat.completions.create({ messages: [], stream: true });
       for await (const chunk of stream) console.log(chunk.choices[0]?.delta.content);
       console.log((await chat.completions.create({ messages: [] })).choices[0]?.message.content);
       await model[Symbol.asyncDispose]();
       // @ts-expect-error: nobody speaks as a robot
       model.generate([{ role: "robot", content: "" }]);
       // @ts-expect-error: there is no such tier
       await load("x", { tier: "avx512" });
       export const e: BitnetError = new BitnetError("a.b", String(rate) + found.text);
      `,
    );
    const module = resolution === "nodenext" ? "nodenext" : "esnext";
    const tsc = spawnSync(
      process.execPath,
      [
        path.join(root, "node_modules/typescript/bin/tsc"),
        ...["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom,dom.asynciterable"],
        ...["--module", module, "--moduleResolution", resolution, user],
      ],
      { encoding: "utf8" },
    );
    assert.equal(tsc.status, 0, tsc.stdout);
  });
}
