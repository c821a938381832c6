/* main.ts: the dashboard. Connects as a viewer and shows what the hub says.
 *
 * Messages go into the store as they come; the page is brought up to date from it, numbers four times a second,
 * charts in an animation frame, at most ten times a second and not at all in a hidden tab. While disconnected the numbers stay, dimmed, with
 * their age beside them.
 */
import "uplot/dist/uPlot.min.css";
import "../shared/style.css";
import "./dashboard.css";
import { byId, copyFrom, make, setText } from "../shared/dom";
import { age, count, unitLabel } from "../shared/format";
import { histogramView, lastView, LiveChart, rateView, type View } from "./charts";
import { DECODE_HELP, TPOT } from "./derive";
import type { MetricInfo } from "./protocol";
import { HubLink, type LinkState } from "./socket";
import { Store } from "./store";
import { metricLabel, ProducerTable, swatch } from "./table";

const NUMBERS_EVERY_MS = 250;
const FRAME_EVERY_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 100;

const hubOrigin = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}`;
const hubUrl = `${hubOrigin}/tracker`;
const store = new Store();
const table = new ProducerTable(byId("producers", HTMLTableElement));
const metricChoice = byId("metric", HTMLSelectElement);

let link: LinkState = { kind: "connecting" };
let lastHeardAt = NaN;
let everConnected = false;

const rateChart = new LiveChart(byId("rate-chart", HTMLElement), "board", rateView(TPOT), updateLegends);
const metricChart = new LiveChart(byId("metric-chart", HTMLElement), "board", histogramView(TPOT, "s"), updateLegends);

function knownMetrics(): Map<string, MetricInfo> {
  const all = new Map<string, MetricInfo>();
  for (const p of store.rows()) for (const [name, info] of p.hello.metrics) if (!all.has(name)) all.set(name, info);
  return all;
}

function viewOf(info: MetricInfo): View {
  return info.kind === "hist" ? histogramView(info.name, info.unit) : lastView(info.name, info.unit);
}

/** The second chart can show whatever the producers say they measure. */
function updateMetricChoice(): void {
  const metrics = [...knownMetrics().values()].filter((info) => info.kind !== "counter");
  const names = metrics.map((info) => info.name).join();
  if (metricChoice.dataset["names"] === names) return;
  const chosen = metricChoice.value || TPOT;
  metricChoice.dataset["names"] = names;
  metricChoice.replaceChildren(
    ...metrics.map((info) => new Option(metricLabel(info.name), info.name, false, info.name === chosen)),
  );
  chooseMetric();
}

function chooseMetric(): void {
  const info = knownMetrics().get(metricChoice.value);
  if (!info) return;
  const hist = info.kind === "hist";
  setText(byId("metric-unit", HTMLElement), hist ? "p50, shaded up to p95" : unitLabel(info.unit));
  setText(byId("metric-help", HTMLElement), info.help);
  metricChart.setView(viewOf(info));
  requestDraw();
}

function updateLegend(list: HTMLElement, chart: LiveChart): void {
  const values = chart.values();
  while (list.children.length > values.length) list.lastElementChild!.remove();
  values.forEach(([p, value], i) => {
    let item = list.children[i] as HTMLElement | undefined;
    if (!item) {
      item = make("li");
      item.append(make("span"), make("span", "legend-name"), make("span", "legend-value"));
      list.append(item);
    }
    const [key, name, number] = [...item.children] as HTMLElement[];
    if (key!.textContent !== p.key) key!.replaceWith(swatch(p));
    setText(name!, p.hello.name);
    setText(number!, value);
  });
}

function updateLegends(): void {
  const rate = byId("rate-legend", HTMLElement);
  const metric = byId("metric-legend", HTMLElement);
  updateLegend(rate, rateChart);
  updateLegend(metric, metricChart);
  describe("rate-chart", "Decode speed over the last 60 seconds", rate);
  describe("metric-chart", `${metricLabel(metricChoice.value)} over the last 60 seconds`, metric);
}

function describe(id: string, what: string, legend: HTMLElement): void {
  const items = [...legend.children].map((li) =>
    [...li.children]
      .slice(1)
      .map((e) => e.textContent)
      .join(" "),
  );
  const label = `${what}: ${items.join(", ") || "nothing measured"}`;
  const chart = byId(id, HTMLElement);
  if (chart.getAttribute("aria-label") !== label) chart.setAttribute("aria-label", label);
}

let frame = 0;
let drawnAt = -Infinity;

function requestDraw(): void {
  if (!frame) frame = requestAnimationFrame(drawWhenDue);
}

function drawWhenDue(time: number): void {
  frame = 0;
  if (time - drawnAt < FRAME_EVERY_MS) return requestDraw();
  if (store.producers.size === 0) return;
  drawnAt = time;
  const hubNow = link.kind === "open" ? store.hubNow(Date.now()) : store.hubNow(lastHeardAt);
  rateChart.draw(store.rows(), hubNow);
  metricChart.draw(store.rows(), hubNow);
  updateLegends();
}

function updateLink(now: number): void {
  const open = link.kind === "open";
  document.body.dataset["link"] = link.kind;
  const connected = store.rows().filter((p) => !p.ended).length;
  const summary = open ? `${store.hub} · ${count(connected, "producer")}` : "connecting";
  setText(byId("link", HTMLElement), link.kind === "waiting" ? "disconnected" : summary);
  const lost = link.kind === "waiting" || (link.kind === "connecting" && everConnected);
  byId("disconnected", HTMLElement).hidden = !lost;
  document.body.classList.toggle("stale", lost);
  if (!lost) return;
  if (link.kind === "waiting") setText(byId("why", HTMLElement), `${link.why} (${hubUrl})`);
  const since = Number.isNaN(lastHeardAt) ? "" : `Numbers below are ${age(now - lastHeardAt)} old.`;
  setText(byId("stale", HTMLElement), store.producers.size ? since : "");
  const wait = link.kind === "waiting" ? Math.max(0, Math.ceil((link.retryAt - now) / 1000)) : 0;
  setText(byId("retry", HTMLElement), link.kind === "waiting" ? `Retrying in ${wait} s.` : "Retrying now …");
}

function updateNumbers(): void {
  const now = Date.now();
  if (link.kind === "open") store.forgetOld(now);
  const rows = store.rows();
  byId("board", HTMLElement).hidden = rows.length === 0;
  byId("empty", HTMLElement).hidden = rows.length > 0 || link.kind !== "open";
  updateLink(now);
  const open = link.kind === "open";
  table.update(rows, store.hubNow(open ? now : lastHeardAt), open);
  if (open) {
    updateMetricChoice();
    requestDraw();
  }
  const gap = byId("gap", HTMLElement);
  gap.hidden = store.missed === 0;
  setText(gap, `${count(store.missed, "message")} skipped by the hub, because this page read too slowly.`);
}

function start(): void {
  const hub = new HubLink(
    hubUrl,
    (message) => {
      lastHeardAt = Date.now();
      store.apply(message, lastHeardAt);
      if (message.type === "window" && message.m.size > 0) requestDraw();
    },
    (state) => {
      link = state;
      if (state.kind === "open") everConnected = true;
      else store.disconnected();
      updateNumbers();
    },
  );
  for (const command of document.querySelectorAll<HTMLElement>(".command")) {
    const text = `bitnet run --track ${hubOrigin} -p "Once upon a time"`;
    const button = command.querySelector("button")!;
    setText(command.querySelector("code")!, text);
    button.onclick = () => void copyFrom(button, text);
  }
  setText(byId("rate-help", HTMLElement), DECODE_HELP);
  byId("retry-now", HTMLButtonElement).onclick = () => hub.retryNow();
  metricChoice.onchange = chooseMetric;
  addEventListener("online", () => hub.retryNow());
  document.addEventListener("visibilitychange", () => document.hidden || hub.retryNow());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    rateChart.restyle();
    metricChart.restyle();
    requestDraw();
  });
  setInterval(updateNumbers, NUMBERS_EVERY_MS);
  hub.connect();
}

start();
