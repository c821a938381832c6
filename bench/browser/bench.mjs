// bench.mjs: how fast the package is in a real Chromium: prefill, decode, loading, memory.
//
//   node bench/browser/bench.mjs [-m FILE] [-p 115] [-n 64] [-r 3] [-t N] [--tier TIER] [--n-ctx N]
//       [--cache-type T] [--staged-head auto|on|off] [--cache auto|off] [-o md|json]
//
// Serves dist/ and the model from this machine, cross-origin isolated, and runs each repetition in a page of its own.
// Times are the engine's (docs/metrics.md); memory is the most that the page's process ever had resident, less
// what it has with an empty page. Nothing else should run meanwhile; to compare with something, run both in turn.
import { statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { largestRenderer } from "./resident.mjs";
import { servePackage } from "./serving.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { values: options } = parseArgs({
  options: {
    model: { type: "string", short: "m", default: path.join(root, "models/bitnet-tales/bitnet-tales.i2_s.gguf") },
    "n-prompt": { type: "string", short: "p", default: "115" },
    "n-gen": { type: "string", short: "n", default: "64" },
    repetitions: { type: "string", short: "r", default: "3" },
    threads: { type: "string", short: "t" },
    tier: { type: "string" },
    "n-ctx": { type: "string" },
    "cache-type": { type: "string" },
    "staged-head": { type: "string" },
    cache: { type: "string", default: "off" }, /* a browser without a profile keeps files in memory */
    output: { type: "string", short: "o", default: "md" },
  },
});
const number = (name) => (options[name] === undefined ? undefined : Number(options[name]));

/** Runs in the page. */
async function measure({ nPrompt, nGen, load }) {
  const lib = await import("./index.js");
  const begin = performance.now();
  const model = await lib.load("model.gguf", load);
  const loadSeconds = (performance.now() - begin) / 1000;
  /* about so many tokens; what was computed is counted */
  const words = "The wolf went into the deep forest and looked for a house made of stone. ".split(" ");
  let prompt = "";
  for (let i = 0; (await model.tokenize(prompt)).length < nPrompt; i++) prompt += `${words[i % words.length]} `;
  const warm = model.generate("Once", { maxTokens: 4, temp: 0 });
  await warm.result;
  const { timings } = await model.generate(prompt, { maxTokens: nGen, temp: 0 }).result;
  const { info } = model;
  await model.dispose();
  return { loadSeconds, timings, info };
}

async function repetition(url) {
  const browser = await chromium.launch({
    executablePath: process.env.BITNET_CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
  try {
    const page = await browser.newPage();
    await page.goto(url);
    const load = { threads: number("threads"), tier: options.tier, nCtx: number("n-ctx") };
    load.cacheTypeK = load.cacheTypeV = options["cache-type"];
    load.stagedHead = options["staged-head"];
    load.cache = options.cache;
    for (const key of Object.keys(load)) if (load[key] === undefined) delete load[key];
    const before = await largestRenderer(browser);
    const found = await page.evaluate(measure, { nPrompt: number("n-prompt"), nGen: number("n-gen"), load });
    const { timings: t, info, loadSeconds } = found;
    const after = await largestRenderer(browser);
    return {
      version: browser.version(),
      tier: info.tier,
      threads: info.threads,
      n_ctx: info.nCtx,
      n_prompt: t.n_prompt_computed,
      n_gen: t.n_generated,
      prefill_tokens_per_second: t.n_prompt_computed / t.prefill_s,
      decode_tokens_per_second: (t.n_generated - 1) / t.decode_s,
      ttft_s: t.ttft_s,
      load_s: loadSeconds,
      peak_resident: after.peak - before.now,
    };
  } finally {
    await browser.close();
  }
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

const server = await servePackage({ "model.gguf": options.model });
const results = [];
for (let i = 0; i < Number(options.repetitions); i++) {
  results.push(await repetition(server.url));
}
server.close();
if (options.output === "json") {
  console.log(JSON.stringify(results, null, 1));
} else {
  const size = statSync(options.model).size;
  const of = (key) => median(results.map((r) => r[key]));
  const { version, tier, threads, n_ctx, n_prompt, n_gen } = results[0];
  console.log(`${path.basename(options.model)}, Chromium ${version}, ${tier}, threads ${threads}, window ${n_ctx}`);
  console.log(`prefill ${n_prompt}: ${of("prefill_tokens_per_second").toFixed(1)} tok/s`);
  console.log(`decode ${n_gen}: ${of("decode_tokens_per_second").toFixed(1)} tok/s`);
  console.log(`TTFT ${of("ttft_s").toFixed(3)} s, loading ${of("load_s").toFixed(2)} s`);
  console.log(`peak resident ${(of("peak_resident") / 1e6).toFixed(0)} MB, ${(of("peak_resident") / size).toFixed(2)} of the file`);
}
