// The certificate of what is in sight, in words.

import { showPart } from "./frame.js";
import { minute, span } from "./times.js";

const PROVEN = ["live", "provider", "merged"];

/** The parts of the segments within the buckets from first to last. */
function within(series, first, last) {
  if (last < first || series.times.length === 0) return [];
  const [from, to] = [series.times[first], series.endOf(last)];
  return series.segments
    .filter((one) => one.to > from && one.from < to)
    .map((one) => ({ ...one, from: Math.max(one.from, from), to: Math.min(one.to, to) }));
}

/** What is missing, each stretch once: what is partial at its ends is a part of the gap between. */
function gapsOf(parts) {
  const found = [];
  for (const one of parts.filter(({ state }) => state === "gap" || state === "partial")) {
    const last = found.at(-1);
    if (last?.to !== one.from) found.push({ from: one.from, to: one.to, reasons: new Set([one.reason ?? "unknown"]) });
    else { last.to = one.to; last.reasons.add(one.reason ?? "unknown"); }
  }
  return found;
}

/** A gap with the way to its story, for who has no mouse to click on the ribbon. */
function gapItem(series, gap) {
  const link = document.createElement("a");
  link.href = `/gaps?${new URLSearchParams({ market: series.market, at: String(gap.from) })}`;
  link.textContent = `missing ${minute(gap.from)} to ${minute(gap.to)}`;
  const row = document.createElement("li");
  row.append(link, `: ${[...gap.reasons].join("; ")}`);
  return row;
}

function line(words, kind) {
  const row = document.createElement(kind ?? "p");
  row.textContent = words;
  return row;
}

export function showCompleteness(tag, series, first, last) {
  const parts = within(series, first, last);
  const gaps = gapsOf(parts);
  const known = parts.length > 0;
  tag.textContent = !known ? "unknown" : gaps.length ? `${gaps.length} gap${gaps.length > 1 ? "s" : ""}` : "complete";
  tag.className = `tag ${!known ? "" : gaps.length ? "error" : "good"}`;
}

export function showCertificate(place, series, first, last) {
  const parts = within(series, first, last);
  if (parts.length === 0) { showPart(place, "<p>Nothing is known of what is shown.</p>"); return; }
  const length = (list) => list.reduce((sum, one) => sum + one.to - one.from, 0);
  const whole = length(parts);
  const share = (list) => {
    const percent = (100 * length(list)) / whole;
    return percent > 0 && percent < 0.1 ? "under 0.1 %" : percent < 100 && percent > 99.9 ? "over 99.9 %" : `${percent.toFixed(1)} %`;
  };
  const of = (...states) => parts.filter((one) => states.includes(one.state));
  const gaps = gapsOf(parts);
  const lines = [line(`From ${minute(parts[0].from)} to ${minute(parts.at(-1).to)}:`)];

  const proven = of(...PROVEN);
  const strong = gaps.length === 0 ? "nothing is missing." : `${gaps.length} gap${gaps.length > 1 ? "s" : ""}, ${span(length(gaps) / 1000)} in all.`;
  const verdict = document.createElement("p");
  const bold = document.createElement("strong");
  bold.textContent = gaps.length === 0 ? `Complete: ${strong}` : `Not complete: ${strong}`;
  bold.className = gaps.length === 0 ? "up" : "down";
  verdict.append(bold);
  lines.push(verdict);

  const list = document.createElement("ul");
  const item = (words) => list.append(line(words, "li"));
  for (const [proof, words] of [["ids", "proven by every trade id of the venue"], ["sequence", "proven by the provider's numbering"], ["connection", "proven by one unbroken connection"], ["candle", "proven by the provider's candles"]]) {
    const found = proven.filter((one) => one.proof === proof);
    if (found.length) item(`${share(found)} ${words}`);
  }
  const quiet = proven.reduce((sum, one) => sum + series.quietIn(one), 0);
  if (quiet) item(`${quiet} bucket${quiet > 1 ? "s" : ""} in which provably nothing was traded`);
  const waiting = of("pending", "open");
  if (waiting.length) item(`${share(waiting)} not final yet${waiting[0].reason ? `: ${waiting[0].reason}` : ""}`);
  for (const gap of gaps.slice(0, 3)) list.append(gapItem(series, gap));
  if (gaps.length > 3) item(`and ${gaps.length - 3} more`);
  const shown = document.createElement("div");
  shown.append(...lines, list);
  showPart(place, shown.innerHTML);
}
