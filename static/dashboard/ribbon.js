// The ribbon of coverage under the chart, on the chart's own time axis: what every stretch rests on.

import { COLUMN } from "./series.js";
import { minute, span } from "./times.js";

const STATE_HEIGHT = 15;
const WORDS = {
  live: "our feed, unbroken", provider: "the provider's candles", merged: "our feed and the provider's candles",
  partial: "part of the trades is missing", gap: "missing", pending: "not final yet", open: "still open",
};
const PROOF = {
  ids: "every trade id of the venue is stored", sequence: "no number of the provider's is missing",
  connection: "one unbroken connection", candle: "the provider's candle",
};

/** Say in words what a segment is. */
export function inWords(segment, series) {
  const lines = [`${segment.state}: ${WORDS[segment.state] ?? ""}`, `${minute(segment.from)} to ${minute(segment.to)} (${span((segment.to - segment.from) / 1000)})`];
  if (segment.proof) lines.push(`Proof: ${PROOF[segment.proof] ?? segment.proof}`);
  const quiet = segment.quiet ? series.quietIn(segment) : 0;
  if (quiet) lines.push(`${quiet} bucket${quiet > 1 ? "s" : ""} without a trade, provably`);
  if (segment.reason) lines.push(segment.reason);
  const repair = segment.repair;
  if (repair) {
    lines.push(repair.final ? "Final: the provider said that it will never have it." : `Repair: ${repair.attempts} attempt${repair.attempts === 1 ? "" : "s"} so far${repair.next_try ? `, next try ${minute(repair.next_try)}` : ""}`);
  } else if (segment.state === "gap" || segment.state === "partial") lines.push("Repair: not asked for yet; the gap scan does that within seconds.");
  return lines;
}

export class Ribbon {
  constructor(canvas, tip, chart, onGap) {
    this.canvas = canvas;
    this.tip = tip;
    this.chart = chart;
    this.series = null;
    canvas.addEventListener("mousemove", (event) => this.hover(event));
    canvas.addEventListener("mouseleave", () => { tip.hidden = true; });
    canvas.addEventListener("click", (event) => {
      const found = this.under(event);
      if (found && (found.state === "gap" || found.state === "partial")) onGap(found);
    });
  }

  /** The x of the left edge of the bucket with this index, in CSS pixels. */
  edge(index) {
    const scale = this.chart.timeScale();
    const centre = scale.logicalToCoordinate(index);
    return centre === null ? null : centre - scale.options().barSpacing / 2;
  }

  boxes() {
    const { series } = this;
    if (!series || series.times.length === 0) return [];
    const width = this.chart.timeScale().width();
    const found = [];
    for (const segment of series.segments) {
      const first = Math.max(series.indexOf(segment.from), 0);
      const last = series.indexOf(segment.to - 1);
      if (last < 0) continue;
      const left = this.edge(first);
      const right = this.edge(last + 1);
      if (left === null || right === null || right < 0 || left > width) continue;
      found.push({ segment, first, last, left: Math.max(left, 0), right: Math.min(right, width) });
    }
    return found;
  }

  draw() {
    const ratio = devicePixelRatio || 1;
    const width = this.chart.timeScale().width();
    const { canvas } = this;
    if (canvas.width !== Math.round(canvas.clientWidth * ratio)) canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(26 * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, canvas.clientWidth, 26);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    pen.fillStyle = colour("line-soft");
    pen.fillRect(0, 2, width, STATE_HEIGHT);

    let before = null;
    for (const box of this.boxes()) {
      const { segment, left } = box;
      const wide = Math.max(box.right - left, segment.state === "gap" ? 2 : 1);
      pen.fillStyle = colour(segment.state === "open" ? "open" : segment.state);
      pen.fillRect(left, 2, wide, STATE_HEIGHT);
      if (segment.state === "gap" || segment.state === "partial" || segment.state === "pending") this.hatch(pen, left, wide, colour("card"), segment.state);
      if (segment.quiet) this.quiet(pen, box, colour("quiet"));
      if (segment.proof) {
        // The proof below it: the stronger, the fuller the line.
        pen.fillStyle = colour("text");
        pen.globalAlpha = { ids: 0.9, sequence: 0.65, connection: 0.4, candle: 0.15 }[segment.proof] ?? 0.1;
        pen.fillRect(left, STATE_HEIGHT + 4, wide, 3);
        pen.globalAlpha = 1;
      }
      if (before && before.state === "provider" && segment.state === "live") {
        pen.fillStyle = colour("text");
        pen.fillRect(left - 1, 0, 2, 24);
      }
      before = segment;
    }
    for (const at of this.series?.corrected.keys() ?? []) {
      const x = this.edge(this.series.indexOf(at));
      if (x !== null) { pen.fillStyle = colour("warning"); pen.fillRect(x, 22, 5, 4); }
    }
    this.describe();
  }

  hatch(pen, left, wide, colour, state) {
    pen.save();
    pen.beginPath();
    pen.rect(left, 2, wide, STATE_HEIGHT);
    pen.clip();
    pen.strokeStyle = colour;
    pen.lineWidth = state === "partial" ? 1 : 2;
    const slant = state === "pending" ? 0 : 6;
    for (let x = Math.floor(left / 6) * 6 - 6; x < left + wide + 6; x += 6) {
      pen.beginPath();
      pen.moveTo(x, 2 + STATE_HEIGHT);
      pen.lineTo(x + slant, 2);
      pen.stroke();
    }
    pen.restore();
  }

  quiet(pen, box, colour) {
    pen.fillStyle = colour;
    for (let index = box.first; index <= box.last; index++) {
      const row = this.series.rows.get(this.series.times[index]);
      if (row[COLUMN.close] !== null) continue;
      const x = this.edge(index);
      const next = this.edge(index + 1);
      if (x === null || next < 0 || x > this.chart.timeScale().width()) continue;
      pen.fillRect(x, 5, Math.max(next - x, 1), STATE_HEIGHT - 6);
    }
  }

  describe() {
    const total = {};
    for (const { segment, left, right } of this.boxes()) total[segment.state] = (total[segment.state] ?? 0) + right - left;
    const whole = Object.values(total).reduce((sum, one) => sum + one, 0) || 1;
    const words = Object.entries(total).map(([state, width]) => `${Math.round((100 * width) / whole)} % ${state}`);
    this.canvas.setAttribute("aria-label", `Coverage of what is shown: ${words.join(", ")}`);
  }

  under(event) {
    const x = event.clientX - this.canvas.getBoundingClientRect().left;
    // What is missing is wider to the hand than to the eye.
    const boxes = this.boxes();
    const near = boxes.find(({ segment, left, right }) => segment.state === "gap" && left - 3 <= x && x <= right + 3);
    return (near ?? boxes.find(({ left, right }) => left <= x && x < right))?.segment;
  }

  hover(event) {
    const segment = this.under(event);
    this.tip.hidden = !segment;
    if (!segment) return;
    const corrected = [...this.series.corrected.keys()].filter((at) => segment.from <= at && at < segment.to).length;
    const lines = corrected ? [...inWords(segment, this.series), `Corrected after their close: ${corrected}`] : inWords(segment, this.series);
    this.tip.replaceChildren(...lines.map((line, index) => {
      const row = document.createElement(index === 0 ? "strong" : "div");
      row.textContent = line;
      return row;
    }));
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    this.tip.style.left = `${Math.max(0, Math.min(x + 12, box.width - this.tip.offsetWidth - 4))}px`;
    this.canvas.style.cursor = segment.state === "gap" || segment.state === "partial" ? "pointer" : "default";
  }
}
