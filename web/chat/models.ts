/* models.ts: the panel where another model is chosen: by address, with a forecast before anything large is
 * downloaded; from a file; from what this browser keeps. It asks for a model through `onChoose` and loads none.
 */
import { predict, storage, type Prediction, type StoredModel } from "libbitnet";
import { byId, isFocusLost, make, setText } from "../shared/dom";
import { quantity, rangeText } from "../shared/format";
import { showFacts, type Fact } from "./facts";
import { errorId } from "./panel";

export type Source = string | File | File[];

const panel = byId("models", HTMLElement);
const toggle = byId("models-toggle", HTMLButtonElement);
const forecast = byId("forecast", HTMLElement);
const forecastList = byId("forecast-facts", HTMLElement);
const forecastText = byId("forecast-text", HTMLElement);
const forecastLoad = byId("forecast-load", HTMLButtonElement);
const fileInput = byId("file", HTMLInputElement);
const storedList = byId("stored", HTMLElement);

/** What a header and a probe tell. */
export function forecastFacts({ model, memory, tokensPerSecond, promptTokensPerSecond }: Prediction): Fact[] {
  return [
    [model.name || "unnamed model", `Architecture ${model.arch}, ${model.nParams.toLocaleString("en-US")} parameters`],
    [`${quantity(model.fileSize, "By")} to download`, "Size of the file"],
    [`${quantity(memory.needed, "By")} of memory`, "The file, what is made of it, the window's keys and values, buffers"],
    [rangeText(tokensPerSecond), "Decode speed to expect, from a probe of this device's memory and kernels"],
    [`reads ${rangeText(promptTokensPerSecond)}`, "Speed at which a prompt is read, likewise"],
  ];
}

/** As its address has it; in people's letters where it is UTF-8. */
function fileName(url: string): string {
  const name = new URL(url).pathname.split("/").pop() || url;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

export class ModelsPanel {
  private checking: AbortController | undefined;

  constructor(private readonly onChoose: (source: Source, prediction: Prediction | undefined) => void) {
    toggle.onclick = () => this.open(panel.hidden);
    byId("url-form", HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      void this.check(byId("url", HTMLInputElement).value);
    };
    byId("open-file", HTMLButtonElement).onclick = () => fileInput.click();
    fileInput.onchange = () => {
      const files = [...(fileInput.files ?? [])];
      fileInput.value = "";
      this.choose(files);
    };
    byId("clear", HTMLButtonElement).onclick = () => void this.showStored(() => storage.clear());
    byId("persist", HTMLButtonElement).onclick = () => void this.showStored(() => storage.persist());
    this.wireDrop();
  }

  open(isOpen: boolean): void {
    panel.hidden = !isOpen;
    toggle.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) return void this.showStored();
    this.checking?.abort();
    this.checking = undefined;
    forecast.hidden = true;
  }

  /** What is stored, as it is now. */
  private async refresh(): Promise<void> {
    const [models, estimate] = await Promise.all([storage.list(), storage.estimate()]);
    storedList.replaceChildren(...models.map((model) => this.storedItem(model)));
    const used = models.reduce((sum, { stored }) => sum + stored, 0);
    const text = used > 0 ? `${quantity(used, "By")} of ${quantity(estimate.quota, "By")} that this site may use.` : "Nothing yet.";
    setText(byId("usage", HTMLElement), text);
    byId("clear", HTMLButtonElement).hidden = models.length === 0;
    const isPersisted = (await navigator.storage?.persisted?.()) ?? true;
    byId("persist", HTMLButtonElement).hidden = models.length === 0 || isPersisted;
  }

  private storedItem(model: StoredModel): HTMLLIElement {
    const item = make("li");
    const name = make("button", "quiet", fileName(model.url));
    name.type = "button";
    name.title = model.url;
    name.onclick = () => this.onChoose(model.url, undefined);
    const size = model.isComplete
      ? quantity(model.size, "By")
      : `${quantity(model.stored, "By")} of ${quantity(model.size, "By")}`;
    const remove = make("button", "quiet", "Delete");
    remove.type = "button";
    remove.setAttribute("aria-label", `Delete ${name.textContent}`);
    remove.onclick = () => void this.showStored(() => storage.delete(model.url));
    item.append(name, make("span", "", size), remove);
    return item;
  }

  /** After a change of it, or why that cannot be; the button that asked for it may be gone. */
  private async showStored(change?: () => Promise<unknown>): Promise<void> {
    const at = [...storedList.children].findIndex((item) => item.contains(document.activeElement));
    try {
      await change?.();
      await this.refresh();
    } catch (error) {
      setText(byId("usage", HTMLElement), error instanceof Error ? error.message : String(error));
    }
    if (panel.hidden || !isFocusLost()) return;
    const next = at < 0 ? undefined : (storedList.children[at] ?? storedList.lastElementChild);
    (next?.querySelector<HTMLElement>("button:last-child") ?? toggle).focus();
  }

  private choose(files: File[]): void {
    if (files.length > 0) this.onChoose(files.length === 1 ? files[0]! : files, undefined);
  }

  /* Reads the header only, and probes the device: two seconds, and nothing large is downloaded. */
  private async check(address: string): Promise<void> {
    this.checking?.abort();
    const mine = (this.checking = new AbortController());
    const url = new URL(address, document.baseURI).href;
    forecast.hidden = false;
    forecastLoad.hidden = true;
    showFacts(forecastList, []);
    setText(forecastText, "Reading the file's header and trying how fast this device is …");
    try {
      const found = await predict(url, { signal: mine.signal });
      if (mine !== this.checking) return;
      showFacts(forecastList, forecastFacts(found));
      setText(forecastText, found.memory.text);
      forecastLoad.hidden = !found.memory.fits;
      forecastLoad.onclick = () => this.onChoose(url, found);
    } catch (error) {
      if (mine !== this.checking) return;
      const sentence = error instanceof Error ? error.message : String(error);
      setText(forecastText, `${sentence} (${errorId(error)})`);
    }
  }

  private wireDrop(): void {
    const drop = byId("drop", HTMLElement);
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
      this.choose([...(event.dataTransfer?.files ?? [])]);
    });
  }
}
