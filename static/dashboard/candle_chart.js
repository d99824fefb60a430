// The drawing of candles and volume by lightweight-charts, and nothing that knows where they come from.

import { COLUMN } from "./series.js";
import { chosenZone, exact, parts } from "./times.js";

const SCROLL = 10; // bars a key press

const shownTime = (seconds) => exact(seconds * 1000).slice(0, 16);

/** The words under a tick: kind 0 year, 1 month, 2 day, 3 minutes, 4 seconds. */
function tick(seconds, kind) {
  const at = parts(seconds * 1000);
  return [at.day.slice(0, 4), at.day.slice(0, 7), at.day.slice(5), at.time.slice(0, 5), at.time][kind];
}

export class CandleChart {
  constructor(box, { onRange, onHover }) {
    this.box = box;
    this.hovering = false;
    this.outdated = false; // an older bucket has changed that is not drawn yet
    this.chart = LightweightCharts.createChart(box, {
      autoSize: true,
      // Its logo would write a style into the page; the page names TradingView itself.
      layout: { attributionLogo: false, fontFamily: "system-ui, sans-serif" },
      timeScale: { timeVisible: true, rightOffset: 4, minBarSpacing: 0.3, tickMarkFormatter: tick },
      localization: { timeFormatter: shownTime },
      crosshair: { mode: LightweightCharts.CrosshairMode.Normal },
    });
    this.candles = this.chart.addSeries(LightweightCharts.CandlestickSeries, { borderVisible: false });
    this.volume = this.chart.addSeries(LightweightCharts.HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.06, bottom: 0.22 } });
    this.markers = LightweightCharts.createSeriesMarkers(this.candles, []);
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(onRange);
    this.chart.subscribeCrosshairMove((event) => {
      this.hovering = event.time !== undefined;
      onHover(this.hovering ? event.time * 1000 : null);
    });
    this.paint();
  }

  /** Take the colours of the page's theme, and write the axis again in the chosen zone. */
  paint() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = { up: colour("up"), down: colour("down"), warning: colour("warning") };
    this.chart.applyOptions({
      layout: { background: { color: colour("card") }, textColor: colour("muted") },
      grid: { vertLines: { color: colour("line-soft") }, horzLines: { color: colour("line-soft") } },
      rightPriceScale: { borderColor: colour("line") },
      timeScale: { borderColor: colour("line"), tickMarkFormatter: (seconds, kind) => tick(seconds, kind) },
      localization: { timeFormatter: (seconds) => `${shownTime(seconds)}${chosenZone() === "local" ? "" : " UTC"}` },
    });
    this.candles.applyOptions({ upColor: this.colours.up, downColor: this.colours.down, wickUpColor: this.colours.up, wickDownColor: this.colours.down });
    if (this.series) this.show(this.series, true);
  }

  bar(row) {
    const time = row[COLUMN.time] / 1000;
    if (row[COLUMN.close] === null) return [{ time }, { time }];
    const [open, high, low, close] = [1, 2, 3, 4].map((index) => Number(row[index]));
    const rising = close >= open;
    return [{ time, open, high, low, close }, { time, value: Number(row[COLUMN.volume]), color: `${rising ? this.colours.up : this.colours.down}66` }];
  }

  /** Draw a series as a whole; keep: where the reader looks stays. */
  show(series, keep = false) {
    const range = keep ? this.chart.timeScale().getVisibleLogicalRange() : null;
    this.series = series;
    this.outdated = false;
    const bars = series.times.map((time) => this.bar(series.rows.get(time)));
    const decimals = series.decimals();
    this.candles.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
    this.candles.setData(bars.map(([candle]) => candle));
    this.volume.setData(bars.map(([, volume]) => volume));
    this.mark(series);
    if (range) this.chart.timeScale().setVisibleLogicalRange(range);
    else this.recent(series);
  }

  /** Show as many of the newest bars as one can tell from each other. */
  recent(series) {
    const most = Math.max(Math.min(Math.floor(this.box.clientWidth / 7), 200), 30);
    const count = series.times.length;
    this.chart.timeScale().setVisibleLogicalRange({ from: Math.max(count - most, -2), to: count + 4 });
  }

  restore(from, to, series) {
    if (!from || !to) return;
    const [first, last] = [series.indexOf(from), series.indexOf(to)];
    if (first >= 0 && last > first) this.chart.timeScale().setVisibleLogicalRange({ from: first, to: last });
  }

  prepend(series, count) {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    this.show(series, true);
    if (range) this.chart.timeScale().setVisibleLogicalRange({ from: range.from + count, to: range.to + count });
  }

  /** Draw one bucket again: the newest at once, older ones together, with the next flush. */
  update(series, time) {
    if (time < series.times.at(-1)) { this.outdated = true; return; }
    const [candle, volume] = this.bar(series.rows.get(time));
    this.candles.update(candle);
    this.volume.update(volume);
  }

  flush(series) {
    if (this.outdated) this.show(series, true);
    else if (this.marked !== String([...series.corrected])) this.mark(series);
  }

  mark(series) {
    this.marked = String([...series.corrected]);
    this.markers.setMarkers([...series.corrected.keys()].sort((one, other) => one - other).map((time) => (
      { time: time / 1000, position: "aboveBar", shape: "circle", color: this.colours.warning, size: 0.6, text: `${series.corrected.get(time)}×` })));
  }

  logical() { return this.chart.timeScale().getVisibleLogicalRange() ?? { from: 0, to: 0 }; }

  /** The indices of the first and last bar in sight. */
  visible(series) {
    const { from, to } = this.logical();
    const most = (series?.times.length ?? 1) - 1;
    return { first: Math.min(Math.max(Math.ceil(from), 0), most), last: Math.min(Math.max(Math.floor(to), 0), most) };
  }

  atEnd() { return this.chart.timeScale().scrollPosition() > -2; }
  // At once: candles that arrive meanwhile would stop a movement half way.
  toEnd() { this.chart.timeScale().scrollToPosition(4, false); }
  logarithmic(on) { this.candles.priceScale().applyOptions({ mode: on ? LightweightCharts.PriceScaleMode.Logarithmic : LightweightCharts.PriceScaleMode.Normal }); }

  /** Pan and zoom by key; return whether the key means something here. */
  onKey(key) {
    const scale = this.chart.timeScale();
    const { from, to } = this.logical();
    const middle = (from + to) / 2;
    const zoom = (factor) => scale.setVisibleLogicalRange({ from: middle - ((to - from) * factor) / 2, to: middle + ((to - from) * factor) / 2 });
    const keys = {
      ArrowLeft: () => scale.scrollToPosition(scale.scrollPosition() - SCROLL, false),
      ArrowRight: () => scale.scrollToPosition(scale.scrollPosition() + SCROLL, false),
      "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1.4),
      End: () => this.toEnd(),
      Home: () => scale.setVisibleLogicalRange({ from: 0, to: to - from }),
    };
    keys[key]?.();
    return key in keys;
  }
}
