/* main.ts: the chat page. Loads a model into this tab, writes stories with it, shows what it measured.
 *
 * Uses the npm package as any page would. One request at a time: Write turns into Stop while the model
 * writes, and Esc stops too. A model comes from ?model=, from a file, or is the one the server embeds.
 */
import { load as loadModel, type Model } from "libbitnet";
import "../shared/style.css";
import "./chat.css";
import { byId, make } from "../shared/dom";
import { count, quantity } from "../shared/format";
import { readPageOptions, SamplingForm, type PageOptions, type Sampling } from "./options";
import { hideError, setPhase, showError, showFacts, showProgress } from "./panel";
import { Story } from "./story";

const OPENINGS = ["Once upon a time", "The little girl opened the door and", "Deep in the forest there lived"];

const promptField = byId("prompt", HTMLTextAreaElement);
const writeButton = byId("write", HTMLButtonElement);
const stopButton = byId("stop", HTMLButtonElement);
const stories = byId("stories", HTMLElement);
const chips = byId("chips", HTMLElement);
const fileInput = byId("file", HTMLInputElement);

let options: PageOptions;
let sampling: SamplingForm;
let model: Model | undefined;
let loading: AbortController | undefined;
let writing: AbortController | undefined;

function hubUrl(): string {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/tracker`;
}

/** Buttons follow from what there is: a model, an answer being written. */
function updateControls(): void {
  setPhase(loading ? "loading" : writing ? "writing" : model ? "ready" : "empty");
  writeButton.hidden = writing !== undefined;
  stopButton.hidden = writing === undefined;
  const canWrite = model !== undefined && !writing && !loading;
  writeButton.disabled = !canWrite;
  for (const button of document.querySelectorAll<HTMLButtonElement>(".chips button, .more")) {
    button.disabled = !canWrite;
  }
}

function describeModel({ info }: Model): void {
  showFacts(
    [
      [info.name || "unnamed model", `Architecture ${info.arch}, ${info.nParams.toLocaleString("en-US")} parameters`],
      [quantity(info.fileSize, "By"), "Size of the model file"],
      [info.tier === "c" ? "no SIMD" : `${info.tier} SIMD`, info.tierReason],
      [count(info.threads, "thread"), info.threadsReason],
      [`window ${count(info.nCtx, "token")}`, "Opening and answer together fit in this many tokens"],
    ],
    [
      ...(info.tier === "c" ? [info.tierReason] : []),
      ...(crossOriginIsolated ? [] : [`One thread. ${info.threadsReason}`]),
    ].join(" "),
  );
}

async function load(source: string | File): Promise<void> {
  loading?.abort();
  writing?.abort();
  const mine = (loading = new AbortController());
  hideError();
  showProgress(undefined);
  updateControls();
  await model?.dispose();
  model = undefined;
  try {
    const loaded = await loadModel(source, {
      signal: mine.signal,
      cache: "check", /* which model a server on this machine has changes under the same URL */
      ...(options.tier && { tier: options.tier }),
      ...(options.threads && { threads: options.threads }),
      ...(options.nCtx && { nCtx: options.nCtx }),
      track: { url: hubUrl(), name: options.name },
      onProgress: (progress) => mine === loading && showProgress(progress),
    });
    if (mine !== loading) return void loaded.dispose();
    model = loaded;
    describeModel(loaded);
  } catch (error) {
    if (mine !== loading) return;
    showFacts([["No model", ""]], "");
    showError("The model could not be loaded.", error, () => void load(source));
  } finally {
    if (mine === loading) loading = undefined;
    updateControls();
  }
}

/** Pinned to the end of the page while the reader is there; left alone when they scrolled up. */
function keepAtEnd(): void {
  const page = document.documentElement;
  const fromEnd = page.scrollHeight - page.clientHeight - page.scrollTop;
  if (fromEnd < 120) page.scrollTop = page.scrollHeight;
}

/** The button that was pressed may be gone. Not on a phone, where focus would bring up the keyboard. */
function takeFocusBack(): void {
  const isLost = document.activeElement === null || document.activeElement === document.body;
  if (isLost && matchMedia("(pointer: fine)").matches) promptField.focus({ preventScroll: true });
}

async function write(story: Story, prompt: string): Promise<void> {
  const settings = sampling.read();
  if (!model || writing || !settings) return;
  const current = model;
  const mine = (writing = new AbortController());
  hideError();
  for (const more of stories.querySelectorAll(".more")) more.remove();
  if (!story.element.isConnected) stories.append(story.element);
  story.begin();
  stories.setAttribute("aria-busy", "true"); /* read out when it is whole, not token by token */
  updateControls();
  keepAtEnd();
  try {
    await stream(current, story, prompt, settings, mine.signal);
  } catch (error) {
    failed(story, error);
  } finally {
    writing = undefined;
    stories.setAttribute("aria-busy", "false");
    updateControls();
    takeFocusBack();
    keepAtEnd();
  }
}

async function stream(m: Model, story: Story, prompt: string, s: Sampling, signal: AbortSignal): Promise<void> {
  const { maxTokens, temp, topK, topP, minP, seed } = s;
  const generation = m.generate(prompt, { maxTokens, temp, topK, topP, minP, seed, signal });
  for await (const { text } of generation) {
    story.append(text);
    keepAtEnd();
  }
  const { finishReason, timings } = await generation.result;
  const { tier, threads, threadsReason } = m.info;
  const decodeS = timings.e2e_s - timings.ttft_s;
  story.end({
    ttftS: timings.n_generated > 0 ? timings.ttft_s : undefined,
    tokensPerS: timings.n_generated > 1 && decodeS > 0 ? (timings.n_generated - 1) / decodeS : undefined,
    nGenerated: timings.n_generated,
    tier,
    threads,
    threadsReason,
    finish: finishReason,
    sampling: s,
  });
  if (finishReason !== "stop") story.offerMore(() => void write(story, story.text));
}

/** Nothing was written: the opening goes back into its field, to be changed. */
function failed(story: Story, error: unknown): void {
  if (story.isEmpty) {
    story.element.remove();
    if (promptField.value === "") promptField.value = story.opening;
  } else {
    story.fail();
  }
  showError("No answer.", error);
}

function begin(opening: string): void {
  if (!model || writing || loading) return;
  promptField.value = "";
  void write(new Story(opening), opening);
}

function wireComposer(): void {
  byId("composer", HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    if (promptField.value !== "") begin(promptField.value);
  };
  promptField.onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    byId("composer", HTMLFormElement).requestSubmit();
  };
  stopButton.onclick = () => writing?.abort();
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") writing?.abort();
  });
  for (const opening of OPENINGS) {
    const chip = make("button", "", opening);
    chip.type = "button";
    chip.onclick = () => begin(opening);
    chips.append(chip);
  }
}

function wireFiles(): void {
  const drop = byId("drop", HTMLElement);
  for (const id of ["open-file", "error-file"]) byId(id, HTMLButtonElement).onclick = () => fileInput.click();
  byId("error-close", HTMLButtonElement).onclick = hideError;
  fileInput.onchange = () => {
    const file = fileInput.files?.[0];
    fileInput.value = "";
    if (file) void load(file);
  };
  addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.hidden = true;
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.hidden = true;
    const file = event.dataTransfer?.files[0];
    if (file) void load(file);
  });
}

function start(): void {
  wireComposer();
  wireFiles();
  try {
    options = readPageOptions(location.search);
    sampling = new SamplingForm(location.search);
  } catch (error) {
    updateControls();
    showFacts([["No model", ""]], "");
    return showError("This address cannot be used.", error, () => (location.search = ""));
  }
  void load(new URL(options.model, document.baseURI).href);
}

start();
