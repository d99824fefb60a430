// The page of one market: loads its series, follows it, and keeps chart, ribbon, certificate and address in step.

import { showCertificate, showCompleteness } from "./certificate.js";
import { setUpDialogs, tellGap } from "./chart_dialogs.js";
import { CandleChart } from "./candle_chart.js";
import { follow } from "./follow.js";
import { ask, entitle, showAway, showConnected, showPart, showAlerts, toast } from "./frame.js";
import { Ribbon } from "./ribbon.js";
import { COLUMN, Series } from "./series.js";
import { grouped, minute } from "./times.js";

const PAGE = 1000; // buckets of older candles at once
const FIRST = 500;
const MOST = 10000; // buckets of an answer
const HELD = 1000; // buckets of a page that stays at the newest one, and as many more before it forgets the oldest
const REPAIR_MS = 4000; // between looks at what is being repaired
const FINAL_MS = 30000; // between looks at what the provider does not say finally yet
const box = document.getElementById("chart");
const market = box.dataset.market;
const buttons = [...document.querySelectorAll("#timeframes button")];
const address = new URL(location.href);
const notice = document.getElementById("notice");

let series = null;
let unfollow = null;
let loading = false;
let pushedFrom = 0; // from here on the stream says what the candles rest on; what is older is asked for
let first = box.dataset.first; // asked by the page's head
let generation = 0; // a series that was left must not answer for the next one
let redraw = 0;

const view = new CandleChart(box, { onRange, onHover: showLegend });
const ribbon = new Ribbon(document.getElementById("ribbon"), document.getElementById("tip"), view.chart, (segment) => tellGap(segment, series, box.dataset.staff));

// --- Loading ---

function tell(words) {
  notice.hidden = !words;
  notice.textContent = words ?? "";
}

/**
 * Ask for candles until there is an answer with rows; while history is fetched, say how far it is. `first`: the question
 * to begin with, where the browser has asked it already.
 */
async function candles(mine, more, first = "") {
  for (let tries = 0; tries < 40; tries++) {
    const asked = performance.now();
    // What is fetched is waited for by the server, which answers as soon as it is stored.
    const found = await ask((tries === 0 && first) || series.question({ ...more, wait: tries > 0 ? "5" : more.wait ?? "5" }));
    if (mine !== generation) return null;
    if (found.candles) return found;
    tell(`Fetching history from the provider: ${found.pages_done ?? 0} of ${found.pages_total ?? "?"} pages.${found.error ? ` ${found.error}` : ""}`);
    // Where it does not wait, since nobody fetches or too many wait already, it is not asked again at once.
    if (tries > 0 && performance.now() - asked < 1000) await new Promise((done) => setTimeout(done, 1000));
  }
  throw new Error("The provider's history does not come. /requests shows what it waits for.");
}

async function open(timeframe) {
  const mine = ++generation;
  unfollow?.();
  const button = buttons.find((one) => one.dataset.timeframe === timeframe) ?? buttons[0];
  for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
  series = new Series(market, timeframe, Number(button.dataset.seconds));
  ribbon.series = series;
  pushedFrom = 0;
  tell("Loading…");
  try {
    const from = Number(address.searchParams.get("from"));
    const length = (series.seconds || 31 * 86400) * 1000;
    const reach = from ? Math.ceil((Date.now() - from) / length) + 50 : 0;
    // What is stored is shown at once, whatever is being fetched beside it.
    const found = await candles(mine, { wait: "0", limit: String(Math.min(Math.max(FIRST, reach), MOST)) }, first);
    first = "";
    if (!found) return;
    series.take(found, true);
    tell(series.last() ? null : "Nothing is stored here yet. Candles appear as soon as there are trades.");
    view.show(series);
    view.restore(from, Number(address.searchParams.get("to")), series);
    settle();
    if (found.request) toast("History is being fetched; the chart fills by itself.");
    const stream = () => `/markets/${market}?${new URLSearchParams({ part: "stream", timeframe, cursor: series.cursor })}`;
    unfollow = follow(stream(), handlers(mine), stream);
  } catch (error) {
    if (mine === generation) tell(error.message);
  }
}

async function older() {
  if (loading || !series?.hasOlder || series.times.length === 0) return;
  loading = true;
  const mine = generation;
  try {
    const found = await candles(mine, { to: String(series.times[0]), limit: String(PAGE) });
    if (!found) return;
    const before = series.times.length;
    const hasTrades = found.candles.some((row) => row[COLUMN.close] !== null);
    series.take(found, false);
    series.hasOlder = hasTrades || Boolean(found.request);
    view.prepend(series, series.times.length - before);
    tell(null);
    settle();
  } catch (error) {
    series.hasOlder = false;
    toast(error.message, "error");
  } finally {
    loading = false;
  }
}

// --- Following ---

function handlers(mine) {
  const only = (work) => (data, id) => {
    if (mine !== generation) return;
    if (id) series.cursor = id;
    work(data);
  };
  return {
    snapshot: only((found) => { series.take(found, true); view.show(series); settle(); }),
    candle: only((row) => {
      for (const time of series.put(row)) view.update(series, time);
      if (series.times.length > 2 * HELD && view.atEnd()) view.prepend(series, -series.keepNewest(HELD));
      settle();
    }),
    gap: only((segment) => {
      series.take({ candles: [], coverage: [segment] }, false);
      settle();
      if (segment.from < pushedFrom) refreshCoverage();
    }),
    watermark: only((found) => { series.watermark = found.watermark; settle(); }),
    coverage: only((found) => {
      series.take({ ...found, candles: [] }, false);
      pushedFrom = found.coverage[0]?.from ?? 0;
      settle();
    }),
    away: only(showAway),
    alerts: only(({ count, worst }) => showAlerts(count, worst)),
    side: only((html) => showPart(document.getElementById("side"), html)),
    state: showConnected,
  };
}

const isBeingRepaired = (segment) => (segment.state === "gap" || segment.state === "partial") && !segment.repair?.final && segment.from < pushedFrom;

/** What became proven before what the stream tells is asked for, from the first bucket that was not. */
async function refreshCoverage() {
  if (!series?.times.length || document.hidden) return;
  const mine = generation;
  const doubtful = series.segments.find((one) => !["live", "provider", "merged"].includes(one.state) && !one.repair?.final);
  // The newest closed ones are asked for again too: their proof grows for some seconds after their end.
  const newest = series.times.at(-Math.min(series.times.length, 4));
  const from = Math.max(Math.min(doubtful?.from ?? newest, newest), series.times[0], series.times.at(-Math.min(series.times.length, 2000)));
  const question = new URLSearchParams({ market, timeframe: series.timeframe, from: String(from), limit: "2500" });
  try {
    const found = await ask(`/api/v1/coverage?${question}`);
    if (mine !== generation) return;
    series.take({ ...found, candles: [] }, false);
    settle();
  } catch { /* the next time; what the server says is shown where the reader asks for something */ }
}

// --- Showing ---

function settle() {
  cancelAnimationFrame(redraw);
  redraw = requestAnimationFrame(() => {
    view.flush(series);
    ribbon.draw();
    const { first, last } = view.visible(series);
    showCertificate(document.getElementById("certificate"), series, first, last);
    showCompleteness(document.getElementById("complete"), series, first, last);
    showPrice();
    if (!view.hovering) showLegend(null);
    showNumbers();
  });
}

function showPrice() {
  const row = series.last();
  if (!row) return;
  const price = document.getElementById("price");
  const close = row[COLUMN.close];
  if (price.dataset.value !== close) {
    price.className = `price number ${Number(close) >= Number(price.dataset.value || close) ? "up" : "down"}`;
    price.dataset.value = close;
    price.textContent = grouped(close);
  }
  entitle(`${grouped(close)} ${market} · Candlekeep`);
}

function showLegend(time) {
  const row = time === null ? series?.last() : series?.rows.get(time);
  const legend = document.getElementById("legend");
  if (!row) return;
  const parts = [["", minute(row[COLUMN.time])]];
  if (row[COLUMN.close] === null) parts.push(["", row[COLUMN.closed] ? "no trade" : "no trade yet"]);
  else {
    for (const name of ["open", "high", "low", "close"]) parts.push([name[0].toUpperCase(), grouped(row[COLUMN[name]])]);
    parts.push(["Vol", grouped(row[COLUMN.volume])]);
    if (row[COLUMN.trades] !== null) parts.push(["Trades", String(row[COLUMN.trades])]);
    parts.push(["", `${row[COLUMN.source]}${row[COLUMN.closed] ? "" : ", open"}`]);
    if (series.corrected.has(row[COLUMN.time])) parts.push(["", `corrected after its close, changes: ${series.corrected.get(row[COLUMN.time])}`]);
  }
  legend.replaceChildren(...parts.flatMap(([name, text]) => {
    const value = document.createElement("b");
    value.textContent = text;
    return name ? [`${name} `, value] : [value];
  }));
}

function showNumbers() {
  const body = document.querySelector("#numbers tbody");
  if (!body.closest("details").open) return;
  const rows = series.times.slice(-30).reverse().map((time) => series.rows.get(time));
  body.replaceChildren(...rows.map((row) => {
    const line = document.createElement("tr");
    const cells = [minute(row[0]), ...row.slice(1, 6).map((text) => grouped(text)), row[COLUMN.trades] ?? "-", row[COLUMN.source], row[COLUMN.closed] ? "yes" : "no", row[COLUMN.revision]];
    for (const [index, text] of cells.entries()) {
      const cell = document.createElement("td");
      cell.textContent = text;
      if (index >= 1 && index !== 7 && index !== 8) cell.className = "number";
      line.append(cell);
    }
    return line;
  }));
}

// --- The reader ---

let remembering = 0;

// The browser asks for the icon again with each replaceState, also where nothing changes.
function remember() {
  if (address.href !== location.href) history.replaceState(null, "", address);
}

function onRange() {
  if (!series?.times.length) return;
  const { from } = view.logical();
  if (from < 40) older();
  const atEnd = view.atEnd();
  document.getElementById("live").hidden = atEnd;
  settle();
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    const { first, last } = view.visible(series);
    address.searchParams.set("timeframe", series.timeframe);
    for (const [name, index] of [["from", first], ["to", last]]) {
      if (atEnd) address.searchParams.delete(name); else address.searchParams.set(name, String(series.times[index]));
    }
    remember();
  }, 400);
}

function choose(timeframe) {
  address.searchParams.delete("from");
  address.searchParams.delete("to");
  address.searchParams.set("timeframe", timeframe);
  remember();
  open(timeframe);
}

function switchLog(on) {
  view.logarithmic(on);
  document.getElementById("log").setAttribute("aria-pressed", String(on));
  if (on) address.searchParams.set("log", "1"); else address.searchParams.delete("log");
  remember();
}

for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.timeframe));
document.getElementById("log").addEventListener("click", (event) => switchLog(event.target.getAttribute("aria-pressed") !== "true"));
document.getElementById("live").addEventListener("click", () => view.toEnd());
document.querySelector("details.numbers").addEventListener("toggle", () => series && showNumbers());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea, dialog")) return;
  if (event.key >= "1" && event.key <= "9" && buttons[Number(event.key) - 1]) choose(buttons[Number(event.key) - 1].dataset.timeframe);
  else if (event.key === "l") switchLog(document.getElementById("log").getAttribute("aria-pressed") !== "true");
  else if (document.activeElement === box && view.onKey(event.key)) event.preventDefault();
});
document.addEventListener("theme", () => { view.paint(); ribbon.draw(); });
document.addEventListener("zone", () => { view.paint(); settle(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { view.paint(); ribbon.draw(); });
addEventListener("resize", () => ribbon.draw());
document.addEventListener("done", refreshCoverage);
setUpDialogs(() => ({ series, ...view.visible(series) }), box.dataset.base);
setInterval(() => { if (series?.segments.some(isBeingRepaired)) refreshCoverage(); }, REPAIR_MS);
setInterval(() => { if (series?.segments.some((one) => one.code === "not_final" && one.from < pushedFrom)) refreshCoverage(); }, FINAL_MS);
if (address.searchParams.has("log")) switchLog(true);
open(box.dataset.timeframe);
