// page.js: what every fixture's page does: golden tokens by the package's own function and by the OpenAI facade.
import { load } from "libbitnet";
import { OpenAI } from "libbitnet/openai";

const query = new URLSearchParams(location.search);
const threads = Number(query.get("threads") ?? 1);
const prompt = query.get("prompt");

async function run() {
  const model = await load("model.gguf", { threads });
  const { tokenIds } = await model.generate(prompt, { maxTokens: 40, temp: 0 }).result;
  const client = new OpenAI(model);
  const { choices } = await client.completions.create({ prompt, max_tokens: 40, temperature: 0 });
  await model.dispose();
  return { tokenIds, text: choices[0].text, threads: model.info.threads, tier: model.info.tier };
}

run().then(
  (result) => (window.result = result),
  (error) => (window.result = { error: `${error.code}: ${error.message}` }),
);
