// predict.mjs: what the package predicts of a model in a real Chromium, beside what it then measures.
//
//   node bench/browser/predict.mjs [-m FILE] [-n 64] [-r 3] [-t N] [--tier TIER] [-o md|json]
//
// Each repetition is a page of its own: predict from the header (Range requests), then load, read a prompt of about
// 100 tokens and decode n tokens. Nothing else should run meanwhile.
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { servePackage } from "./serving.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { values: options } = parseArgs({
  options: {
    model: { type: "string", short: "m", default: path.join(root, "models/bitnet-tales/bitnet-tales.i2_s.gguf") },
    "n-gen": { type: "string", short: "n", default: "64" },
    repetitions: { type: "string", short: "r", default: "3" },
    threads: { type: "string", short: "t" },
    tier: { type: "string" },
    output: { type: "string", short: "o", default: "md" },
  },
});
/** Runs in the page. */
async function predictAndMeasure({ nGen, how }) {
  const lib = await import("./index.js");
  const begin = performance.now();
  const prediction = await lib.predict("model.gguf", how);
  const seconds = (performance.now() - begin) / 1000;
  const model = await lib.load("model.gguf", { ...how, threads: prediction.threads });
  await model.generate("Once", { maxTokens: 8, temp: 0 }).result;
  const prompt = "The wolf went into the deep forest and looked for a house made of stone. ".repeat(6);
  const { timings: t } = await model.generate(prompt, { maxTokens: nGen, temp: 0 }).result;
  await model.dispose();
  const decode = (t.n_generated - 1) / t.decode_s;
  return { prediction, seconds, decode, prefill: t.n_prompt_computed / t.prefill_s };
}

const server = await servePackage({ "model.gguf": options.model });
const how = { tier: options.tier, threads: options.threads && Number(options.threads) };
for (const key of Object.keys(how)) if (how[key] === undefined) delete how[key];
const results = [];
for (let i = 0; i < Number(options.repetitions); i++) {
  const browser = await chromium.launch({
    executablePath: process.env.BITNET_CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
  const page = await browser.newPage();
  await page.goto(server.url);
  results.push(await page.evaluate(predictAndMeasure, { nGen: Number(options["n-gen"]), how }));
  await browser.close();
}
server.close();

if (options.output === "json") {
  console.log(JSON.stringify(results, null, 1));
} else {
  const line = ({ low, expected, high }, measured) => {
    const where = measured < low ? "below" : measured > high ? "above" : "within";
    const range = `${low.toFixed(1)} to ${high.toFixed(1)}, ${expected.toFixed(1)} expected`;
    return `${range}; ${measured.toFixed(1)} measured: ${where}, ${(measured / expected).toFixed(2)} of expected`;
  };
  const { tier, model } = results[0].prediction;
  console.log(`${path.basename(options.model)}, ${model.arch}, ${model.nParams} parameters, ${tier}`);
  for (const { prediction: p, seconds, decode, prefill } of results) {
    console.log(`decode tok/s, ${p.threads} threads: ${line(p.tokensPerSecond, decode)}`);
    console.log(`prompt tok/s: ${line(p.promptTokensPerSecond, prefill)}`);
    console.log(`memory ${(p.memory.needed / 1e6).toFixed(0)} MB; predicted in ${seconds.toFixed(2)} s`);
  }
}
