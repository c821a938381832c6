/* panel.ts: what the page says about the model: how far its loading is, what it is, what went wrong.
 *
 * A failure is the core's own sentence, its stable id in small type, and a way on; the page stays usable.
 */
import { BitnetError, type LoadProgress } from "libbitnet";
import { byId, setText } from "../shared/dom";
import { decimal, quantity } from "../shared/format";

export type Phase = "loading" | "paused" | "ready" | "writing" | "empty";

const loading = byId("loading", HTMLElement);
const ready = byId("ready", HTMLElement);
const bar = byId("progress", HTMLProgressElement);
const errorBox = byId("error", HTMLElement);

/** The page's state, where style sheets and tests can see it. */
export function setPhase(phase: Phase): void {
  document.body.dataset["phase"] = phase;
  loading.hidden = phase !== "loading" && phase !== "paused";
  ready.hidden = phase === "loading"; /* while a download is paused another model may be chosen */
}

/** "2.1 of 3.8 MB · 55 %": both numbers in the unit of the larger one. */
export function amountText(loaded: number, total: number | undefined): string {
  const largest = Math.max(loaded, total ?? 0);
  const [size, unit] = largest >= 1e9 ? [1e9, "GB"] : largest >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  const part = decimal(loaded / size);
  if (total === undefined || total <= 0) return `${part} ${unit}`;
  return `${part} of ${decimal(total / size)} ${unit} · ${Math.floor((100 * loaded) / total)} %`;
}

const PHASES: Record<LoadProgress["phase"], string> = {
  download: "Downloading",
  verify: "Checking",
  prepare: "Preparing",
};

/** "84 MB/s, 12 s left" */
export function rateText({ phase, loaded, total, bytesPerSecond, fromCache }: LoadProgress): string {
  const from = fromCache ? "from this browser's own storage" : "";
  if (phase !== "download" || !bytesPerSecond) return from;
  const left = total === undefined ? "" : `, ${quantity((total - loaded) / bytesPerSecond, "s")} left`;
  return `${quantity(bytesPerSecond, "By")}/s${left} ${from}`.trimEnd();
}

/** undefined: about to start. */
export function showProgress(progress: LoadProgress | undefined): void {
  const { loaded, total } = progress ?? { loaded: 0, total: undefined };
  setText(byId("phase", HTMLElement), progress ? PHASES[progress.phase] : "Starting");
  setText(byId("rate", HTMLElement), progress ? rateText(progress) : "");
  setText(byId("amount", HTMLElement), loaded > 0 || total ? amountText(loaded, total) : "");
  if (total !== undefined && total > 0) bar.value = loaded / total;
  else bar.removeAttribute("value"); /* indeterminate */
}

/** "" hides it. */
export function showNote(text: string): void {
  const note = byId("note", HTMLElement);
  setText(note, text);
  note.hidden = text === "";
}

/** An address that cannot be reached is most often no network at all. */
function sentenceOf(error: unknown): string {
  const sentence = error instanceof Error ? error.message : String(error);
  return navigator.onLine ? sentence : `This device is offline. ${sentence}`;
}

/** Errors of the library carry a stable code beside the sentence; others have their class name. */
export function errorId(error: unknown): string {
  if (error instanceof BitnetError) return error.code;
  return error instanceof Error ? error.name : "unknown";
}

export function showError(title: string, error: unknown, retry?: () => void): void {
  setText(byId("error-title", HTMLElement), title);
  setText(byId("error-text", HTMLElement), sentenceOf(error));
  setText(byId("error-id", HTMLElement), errorId(error));
  const button = byId("error-retry", HTMLButtonElement);
  button.hidden = retry === undefined;
  button.onclick = () => {
    hideError();
    retry?.();
  };
  errorBox.hidden = false;
}

export function hideError(): void {
  errorBox.hidden = true;
}
