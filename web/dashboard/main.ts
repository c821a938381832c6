/* main.ts: the dashboard: one page, four views, and the frame around them.
 *
 * Owns the connection to the hub, the header, freezing and exporting; each view draws itself. What is
 * shown is in the address (router.ts). Messages are recorded whatever view is open.
 */
import "uplot/dist/uPlot.min.css";
import "../shared/style.css";
import "./panels.css";
import "./dashboard.css";
import "./producers.css";
import "./views.css";
import { byId, copyFrom, setText } from "../shared/dom";
import { age, clockTime, count, decimal, elapsed } from "../shared/format";
import { CompareView } from "./compare";
import { lastValue, OVERHEAD } from "./derive";
import { Recorder } from "./freeze";
import { csv, download, json, type Titled } from "./grid";
import { HistoryView } from "./history";
import { fetchFiring } from "./history_api";
import { LiveView } from "./live";
import { type Place, placeHash, Router, VIEWS, type ViewName } from "./router";
import { HubLink, type LinkState } from "./socket";
import { TracesView } from "./traces";

const NUMBERS_EVERY_MS = 250;

const element = (id: string) => byId(id, HTMLElement);
const hubOrigin = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}`;
const hubUrl = `${hubOrigin}/tracker`;
/* "?trace=/run.json" is how other pages link to a trace: they need not know the views. */
const linked = new URLSearchParams(location.search).get("trace");
if (linked) globalThis.history.replaceState(null, "", location.pathname + placeHash("traces", { trace: linked }));

const recorder = new Recorder();
const router = new Router(show);
const freeze = byId("freeze", HTMLButtonElement);

let link: LinkState = { kind: "connecting" };
let lastHeardAt = NaN;
let everConnected = false;
let areAlertsKnown = false;

/** The hub's time that the live view shows: now, the time of freezing, or when the hub was last heard. */
function viewNow(): number {
  return recorder.viewNow(link.kind === "open" ? Date.now() : lastHeardAt);
}

const live = new LiveView(recorder, router, viewNow);
const history = new HistoryView(router);
const compare = new CompareView(router);
const traces = new TracesView(router);
const views: Record<ViewName, { restore(): void; restyle(): void; titled(): Titled[] }> = {
  live,
  history,
  compare,
  traces,
};

function show({ view }: Place): void {
  for (const name of VIEWS) element(`view-${name}`).hidden = name !== view;
  for (const a of document.querySelectorAll<HTMLAnchorElement>("#views a")) {
    if (a.dataset["view"] === view) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  document.body.dataset["view"] = view;
  document.title = `${view[0]!.toUpperCase()}${view.slice(1)} · libbitnet`;
  if (view === "live") restoreFreeze();
  element("live-tools").hidden = view !== "live";
  views[view].restore();
  updateNumbers();
}

/** The address says whether the board is frozen, and when it was. */
function restoreFreeze(): void {
  const at = Number(router.get("frozen"));
  if (at > 0 && !recorder.frozen) recorder.freeze(at);
  else if (!(at > 0) && recorder.frozen) recorder.resume();
}

function toggleFreeze(): void {
  router.set({ frozen: recorder.frozen ? "" : String(Math.round(viewNow())) });
  restoreFreeze();
  updateNumbers();
}

function updateFreeze(): void {
  const { frozen, frozenAt, windowsSince, operationsSince } = recorder;
  freeze.setAttribute("aria-pressed", String(frozen));
  const since = `${count(windowsSince, "window")} and ${count(operationsSince, "operation")} recorded since`;
  element("frozen").hidden = !frozen;
  setText(element("frozen"), frozen ? `Frozen at ${clockTime(frozenAt)} · ${since}` : "");
}

/** "tracker cost 0.3 % ±0.1" of the producer that knows it best: whose interval is the narrowest. */
function trackerCost(): string {
  const costs = recorder.shown.rows().map(({ columns }) => {
    const half = (lastValue(columns, `${OVERHEAD}_high`) - lastValue(columns, `${OVERHEAD}_low`)) / 2;
    return { cost: lastValue(columns, OVERHEAD), half };
  });
  const known = costs.filter(({ cost }) => !Number.isNaN(cost));
  const width = (half: number) => (Number.isNaN(half) ? Infinity : half);
  const best = known.sort((a, b) => width(a.half) - width(b.half))[0];
  if (!best) return "";
  const half = Number.isNaN(best.half) ? "" : ` ±${decimal(100 * best.half)}`;
  return `tracker cost ${decimal(100 * best.cost)} %${half}`;
}

/** How long the longest of those now connected has been running. */
function runningFor(hubNow: number): string {
  const started = recorder.shown.rows().filter((p) => !p.ended && p.hello.started_ms > 0);
  const first = Math.min(...started.map((p) => p.hello.started_ms - p.clockOffMs));
  return Number.isFinite(first) ? elapsed(hubNow - first) : "";
}

function updateLink(now: number): void {
  const open = link.kind === "open";
  const { shown } = recorder;
  document.body.dataset["link"] = link.kind;
  const connected = shown.rows().filter((p) => !p.ended).length;
  const facts = [count(connected, "producer"), trackerCost(), runningFor(viewNow())];
  setText(element("link"), open ? facts.filter(Boolean).join(" · ") : link.kind === "waiting" ? "disconnected" : "connecting");
  element("link").title = open ? `${shown.hub} at ${hubUrl}` : hubUrl;
  const lost = link.kind === "waiting" || (link.kind === "connecting" && everConnected);
  element("disconnected").hidden = !lost;
  document.body.classList.toggle("stale", lost);
  if (!lost) return;
  if (link.kind === "waiting") setText(element("why"), `${link.why} (${hubUrl})`);
  const since = Number.isNaN(lastHeardAt) ? "" : `Numbers below are ${age(now - lastHeardAt)} old.`;
  setText(element("stale"), shown.producers.size ? since : "Start it with: bitnet serve");
  const wait = link.kind === "waiting" ? Math.max(0, Math.ceil((link.retryAt - now) / 1000)) : 0;
  setText(element("retry"), link.kind === "waiting" ? `Retrying in ${wait} s.` : "Retrying now …");
}

function updateNumbers(): void {
  const now = Date.now();
  /* The way back to a view leads to it as it was left. */
  const way = document.querySelector<HTMLAnchorElement>(`#views a[data-view="${router.view}"]`);
  if (way && location.hash && way.hash !== location.hash) way.href = location.hash;
  const open = link.kind === "open";
  if (open) recorder.recording.forgetOld(now);
  updateLink(now);
  updateFreeze();
  if (router.view !== "live" || document.hidden) return;
  const rows = recorder.shown.rows();
  element("board").hidden = rows.length === 0;
  element("empty").hidden = rows.length > 0 || !open;
  live.update(open);
}

/* A hub that tells its health knows alerts, too, and those that began before this page listened. */
async function learnAlerts(): Promise<void> {
  if (areAlertsKnown) return;
  areAlertsKnown = true;
  try {
    for (const alert of await fetchFiring()) recorder.apply(alert, Date.now());
  } catch {
    areAlertsKnown = false; /* the next word of its health asks again */
  }
}

function exportAs(format: "json" | "csv"): void {
  const panels = views[router.view].titled();
  const at = new Date(viewNow() || Date.now()).toISOString();
  const text = format === "csv" ? csv(panels) : json(panels, { page: location.href, view: router.view, at });
  const type = format === "csv" ? "text/csv" : "application/json";
  const name = `bitnet-${router.view}-${at.slice(0, 19).replace(/\D/g, "")}.${format}`;
  download(name, new Blob([text], { type }));
}

function start(): void {
  const hub = new HubLink(
    hubUrl,
    (message) => {
      lastHeardAt = Date.now();
      recorder.apply(message, lastHeardAt);
      if (message.type === "welcome") areAlertsKnown = false;
      if (message.type === "health") void learnAlerts();
      if (message.type === "window" && message.m.size > 0 && !recorder.frozen) live.requestDraw();
    },
    (state) => {
      link = state;
      if (state.kind === "open") everConnected = true;
      else for (const store of [recorder.recording, recorder.shown]) store.disconnected();
      updateNumbers();
    },
  );
  for (const command of document.querySelectorAll<HTMLElement>(".command[data-run]")) {
    const text = `bitnet run --track ${hubOrigin} -p "Once upon a time"`;
    const button = command.querySelector("button")!;
    setText(command.querySelector("code")!, text);
    button.onclick = () => void copyFrom(button, text);
  }
  freeze.onclick = toggleFreeze;
  byId("export-json", HTMLButtonElement).onclick = () => exportAs("json");
  byId("export-csv", HTMLButtonElement).onclick = () => exportAs("csv");
  byId("retry-now", HTMLButtonElement).onclick = () => hub.retryNow();
  addEventListener("online", () => hub.retryNow());
  document.addEventListener("visibilitychange", () => document.hidden || hub.retryNow());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const view of Object.values(views)) view.restyle();
  });
  setInterval(updateNumbers, NUMBERS_EVERY_MS);
  show({ view: router.view, settings: new URLSearchParams() });
  hub.connect();
}

start();
