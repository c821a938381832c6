/* main.ts: the chat page. Loads a model into this tab, talks with it or lets it write, shows what it measured.
 *
 * Uses the npm package as any page would. One answer at a time: Write turns into Stop while the model writes, and
 * Esc stops too. A model with a chat template is talked to; any other one carries on a text. It comes from
 * ?model=, from the panel (models.ts), or is the one the server embeds. A download can be paused: what has come is
 * kept, and loading again goes on from there.
 */
import { BitnetError, load as loadModel, type ChatMessage, type Generation, type Model, type Prediction } from "libbitnet";
import "../shared/style.css";
import "./chat.css";
import { byId, isFocusLost, make, setText } from "../shared/dom";
import { Conversation } from "./conversation";
import { modelFacts, modelNote, NO_MODEL, showFacts } from "./facts";
import { KernelsPanel } from "./kernels";
import { ModelsPanel, type Source } from "./models";
import { readPageOptions, SamplingForm, type PageOptions, type Sampling } from "./options";
import { hideError, setPhase, showError, showNote, showProgress } from "./panel";
import { Story } from "./story";

const TEXTS = {
  story: {
    intro: "It carries on a text that you begin. The one that comes with this page was raised on fairy tales: it is no good at questions.",
    label: "The beginning of a story",
    placeholder: "Begin a story …",
    chips: ["Once upon a time", "The little girl opened the door and", "Deep in the forest there lived"],
  },
  chat: {
    intro: "It answers what you ask, and forgets everything with this tab. It can be wrong.",
    label: "Your message",
    placeholder: "Ask something …",
    chips: ["Explain what a ternary weight is", "Write a short poem about rain", "Start over"],
  },
} as const;
const START_OVER = "Start over";

const promptField = byId("prompt", HTMLTextAreaElement);
const modelSection = byId("model", HTMLElement);
const factList = byId("facts", HTMLElement);
const writeButton = byId("write", HTMLButtonElement);
const stopButton = byId("stop", HTMLButtonElement);
const pauseButton = byId("pause", HTMLButtonElement);
const stories = byId("stories", HTMLElement);
const chips = byId("chips", HTMLElement);

let options: PageOptions;
let sampling: SamplingForm;
let models: ModelsPanel;
let kernels: KernelsPanel;
let model: Model | undefined;
let expected: Prediction | undefined;
let loading: AbortController | undefined;
let paused: Source | undefined;
let writing: AbortController | undefined;
const conversation = new Conversation();

function hubUrl(): string {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/tracker`;
}

/** Buttons follow from what there is: a model, an answer being written. */
function updateControls(): void {
  setPhase(loading ? "loading" : paused !== undefined ? "paused" : writing ? "writing" : model ? "ready" : "empty");
  writeButton.hidden = writing !== undefined;
  stopButton.hidden = writing === undefined;
  const canWrite = model !== undefined && !writing && !loading;
  writeButton.disabled = !canWrite;
  chips.hidden = model === undefined;
  for (const button of document.querySelectorAll<HTMLButtonElement>(".chips button, .more")) {
    button.disabled = !canWrite;
  }
}

/* ---- the model ---- */

function isChat(): boolean {
  return model !== undefined && model.info.chatTemplate !== "none";
}

function setMode(): void {
  const texts = TEXTS[isChat() ? "chat" : "story"];
  setText(byId("intro", HTMLElement), texts.intro);
  setText(byId("prompt-label", HTMLElement), texts.label);
  promptField.placeholder = texts.placeholder;
  setText(writeButton, isChat() ? "Send" : "Write");
  chips.replaceChildren(
    ...texts.chips.map((text) => {
      const chip = make("button", "", text);
      chip.type = "button";
      chip.onclick = () => (text === START_OVER ? startOver() : begin(text));
      return chip;
    }),
  );
}

function clear(): void {
  conversation.clear();
  stories.replaceChildren();
}

function startOver(): void {
  clear();
  promptField.focus();
}

async function load(source: Source, prediction?: Prediction): Promise<void> {
  loading?.abort();
  writing?.abort();
  const mine = (loading = new AbortController());
  expected = prediction;
  paused = undefined;
  const hadFocus = modelSection.contains(document.activeElement);
  hideError();
  models.open(false);
  showFacts(factList, NO_MODEL);
  showProgress(undefined);
  pauseButton.hidden = typeof source !== "string"; /* a file of one's own is there at once */
  pauseButton.onclick = () => pause(source);
  setText(pauseButton, "Pause");
  updateControls();
  if (hadFocus && isFocusLost()) pauseButton.focus();
  kernels.attach(undefined);
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
    kernels.attach(loaded);
    clear();
    showFacts(factList, modelFacts(loaded.info));
    showNote(modelNote(loaded.info));
  } catch (error) {
    if (mine !== loading) return;
    showError("The model could not be loaded.", error, () => void load(source, prediction));
  } finally {
    if (mine === loading) loading = undefined;
    setMode();
    updateControls();
    if (hadFocus && isFocusLost()) byId("models-toggle", HTMLButtonElement).focus();
  }
}

/** What has come stays in this browser, and goes on from there. */
function pause(source: Source): void {
  const current = loading;
  loading = undefined;
  paused = source;
  current?.abort();
  setText(byId("phase", HTMLElement), "Paused");
  setText(pauseButton, "Go on");
  pauseButton.onclick = () => void load(source, expected);
  updateControls();
}

/* ---- answers ---- */

/** Pinned to the end of the page while the reader is there; left alone when they scrolled up. */
function keepAtEnd(): void {
  const page = document.documentElement;
  const fromEnd = page.scrollHeight - page.clientHeight - page.scrollTop;
  if (fromEnd < 120) page.scrollTop = page.scrollHeight;
}

/** The button that was pressed may be gone. Not on a phone, where focus would bring up the keyboard. */
function takeFocusBack(): void {
  if (isFocusLost() && matchMedia("(pointer: fine)").matches) promptField.focus({ preventScroll: true });
}

/** The settings of an answer that may begin now. */
function readSettings(): Sampling | undefined {
  return model && !writing && !loading ? sampling.read() : undefined;
}

async function write(m: Model, story: Story, prompt: string | ChatMessage[], settings: Sampling): Promise<void> {
  const mine = (writing = new AbortController());
  hideError();
  for (const more of stories.querySelectorAll(".more")) more.remove();
  if (!story.element.isConnected) stories.append(story.element);
  story.begin();
  stories.setAttribute("aria-busy", "true"); /* read out when it is whole, not token by token */
  updateControls();
  keepAtEnd();
  try {
    await stream(m, story, m.generate(prompt, { ...settings, signal: mine.signal }), settings);
  } catch (error) {
    failed(story, error);
  } finally {
    writing = undefined;
    stories.setAttribute("aria-busy", "false");
    kernels.refresh().catch(() => undefined); /* the model is gone, which is said elsewhere */
    updateControls();
    takeFocusBack();
    keepAtEnd();
  }
}

async function stream(m: Model, story: Story, generation: Generation, s: Sampling): Promise<void> {
  for await (const { text } of generation) {
    story.append(text);
    keepAtEnd();
  }
  const { text, finishReason, metrics } = await generation.result;
  const { tier, threads, threadsReason } = m.info;
  story.end({
    metrics,
    expected: expected?.tokensPerSecond,
    tier,
    threads,
    threadsReason,
    finish: finishReason,
    sampling: s,
  });
  if (isChat()) conversation.answered(text);
  else if (finishReason !== "stop") story.offerMore(() => carryOn(story));
}

/** Nothing was written: what was asked goes back into its field, to be changed. Unless another model was chosen. */
function failed(story: Story, error: unknown): void {
  conversation.takeBack();
  const isReplaced = error instanceof BitnetError && error.code === "model.disposed";
  if (!story.isEmpty) story.fail();
  else {
    story.element.remove();
    if (!isReplaced && promptField.value === "") promptField.value = story.opening;
  }
  if (!isReplaced) showError("No answer.", error);
}

function carryOn(story: Story): void {
  const settings = readSettings();
  if (model && settings) void write(model, story, story.text, settings);
}

function begin(text: string): void {
  const settings = readSettings();
  if (!model || !settings) return;
  promptField.value = "";
  void write(model, new Story(text, isChat()), isChat() ? conversation.asked(text) : text, settings);
}

/* ---- the page ---- */

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
  byId("error-close", HTMLButtonElement).onclick = hideError;
  byId("error-models", HTMLButtonElement).onclick = () => models.open(true);
}

function start(): void {
  wireComposer();
  kernels = new KernelsPanel();
  models = new ModelsPanel((source, prediction) => void load(source, prediction));
  setMode();
  try {
    options = readPageOptions(location.search);
    sampling = new SamplingForm(location.search);
  } catch (error) {
    options = readPageOptions("");
    sampling = new SamplingForm("");
    updateControls();
    showFacts(factList, NO_MODEL);
    return showError("This address cannot be used.", error, () => (location.search = ""));
  }
  void load(new URL(options.model, document.baseURI).href);
}

start();
