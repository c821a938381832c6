// main.mjs: the package in Node.js: golden tokens by the package's own function and by the OpenAI facade.
import { load } from "libbitnet";
import { OpenAI } from "libbitnet/openai";

const [file, prompt] = process.argv.slice(2);
const model = await load(file);
const { tokenIds } = await model.generate(prompt, { maxTokens: 40, temp: 0 }).result;
const { choices } = await new OpenAI(model).completions.create({ prompt, max_tokens: 40, temperature: 0 });
await model.dispose();
console.log(JSON.stringify({ tokenIds, text: choices[0].text, threads: model.info.threads, tier: model.info.tier }));
