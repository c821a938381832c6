// predict.mjs: what the package predicts of a model in a real Chromium, beside what it then measures.
//
//   node bench/browser/predict.mjs [-m FILE] [-n 64] [-r 3] [-t N] [--tier TIER] [-o md|json]
//
// Each repetition is a page of its own: predict from the header (Range requests), then load, read a prompt of about
// 100 tokens and decode n tokens. Nothing else should run meanwhile.
import { createReadStream, existsSync, statSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

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
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/** dist/, and the model as model.gguf, in ranges where they are asked for. */
async function startServer() {
  const server = http.createServer((request, response) => {
    const name = new URL(request.url, "http://localhost").pathname;
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    if (name === "/") {
      response.setHeader("Content-Type", "text/html");
      return response.end("<!doctype html><title>predict</title>");
    }
    const file = name === "/model.gguf" ? options.model : path.join(root, "dist", path.normalize(name));
    if (!existsSync(file)) return response.writeHead(404).end();
    const { size } = statSync(file);
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const start = range ? Number(range[1]) : 0;
    const end = Math.min(size - 1, range?.[2] ? Number(range[2]) : size - 1);
    if (range) response.writeHead(206, { "Content-Range": `bytes ${start}-${end}/${size}` });
    else response.setHeader("Content-Type", TYPES[path.extname(name)] ?? "application/octet-stream");
    createReadStream(file, { start, end }).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

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

const server = await startServer();
const how = { tier: options.tier, threads: options.threads && Number(options.threads) };
for (const key of Object.keys(how)) if (how[key] === undefined) delete how[key];
const results = [];
for (let i = 0; i < Number(options.repetitions); i++) {
  const browser = await chromium.launch({
    executablePath: process.env.BITNET_CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  results.push(await page.evaluate(predictAndMeasure, { nGen: Number(options["n-gen"]), how }));
  await browser.close();
}
server.close();
server.closeAllConnections();

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
