// One series as the page holds it: rows by time, the certificate of what is loaded, and how both change.

export const COLUMN = { time: 0, open: 1, high: 2, low: 3, close: 4, volume: 5, quote: 6, trades: 7, source: 8, closed: 9, revision: 10 };

const SAID = ["state", "proof", "reason", "code"];
const isOneWith = (one, next) => one.to === next.from && SAID.every((name) => one[name] === next[name]) && JSON.stringify(one.repair) === JSON.stringify(next.repair);

/** Join neighbours that say the same: what comes again and again, each time from a later bucket on, is not cut to pieces. */
function joined(segments) {
  const found = [];
  for (const next of segments) {
    const last = found.at(-1);
    if (last && isOneWith(last, next)) found[found.length - 1] = { ...last, to: next.to, quiet: Math.max(last.quiet, next.quiet) };
    else found.push(next);
  }
  return found;
}

/** Replace what `parts` cover of a list of segments; all are {from, to, …} in ms, ascending, without overlap. */
export function paint(segments, parts) {
  let painted = segments;
  for (const part of parts) {
    const kept = [];
    for (const one of painted) {
      if (one.to <= part.from || one.from >= part.to) { kept.push(one); continue; }
      if (one.from < part.from) kept.push({ ...one, to: part.from });
      if (one.to > part.to) kept.push({ ...one, from: part.to });
    }
    kept.push(part);
    painted = kept;
  }
  return joined(painted.sort((one, other) => one.from - other.from));
}

export class Series {
  constructor(market, timeframe, seconds) {
    this.market = market;
    this.timeframe = timeframe;
    this.seconds = seconds; // 0: months
    this.rows = new Map(); // by open time in ms; a bucket without a trade has a row of nulls
    this.times = []; // ascending
    this.segments = [];
    this.cursor = null;
    this.watermark = null;
    this.corrected = new Map(); // by open time: how often a candle changed after it was closed as whole
    this.hasOlder = true;
  }

  question(more) {
    return `/api/v1/candles?${new URLSearchParams({ market: this.market, timeframe: this.timeframe, fill: "null", ...more })}`;
  }

  /** Take an answer of GET candles in; newest: it reaches up to now, so its cursor is ours. */
  take(answer, newest) {
    for (const row of answer.candles) this.rows.set(row[COLUMN.time], row);
    this.segments = paint(this.segments, answer.coverage);
    for (const one of answer.corrected ?? []) this.corrected.set(one.time, one.changes);
    this.sort();
    if (newest) {
      this.cursor = answer.cursor;
      this.watermark = answer.watermark;
    }
  }

  sort() { this.times = [...this.rows.keys()].sort((one, other) => one - other); }

  /** Take one row of the stream in; return the times of buckets that changed, the skipped ones before it included. */
  put(row) {
    const at = row[COLUMN.time];
    if (at < this.times[0]) return []; // not loaded: it is asked for when the reader pans there
    const before = this.rows.get(at);
    const wasWhole = before?.[COLUMN.closed] && before[COLUMN.source] !== "partial";
    if (wasWhole && row[COLUMN.closed] && String(before.slice(1, 7)) !== String(row.slice(1, 7))) {
      this.corrected.set(at, (this.corrected.get(at) ?? 0) + 1); // counted here until the server is asked again
    }
    const last = this.times.at(-1);
    const made = [];
    if (this.seconds && last !== undefined && at > last) {
      for (let time = last + this.seconds * 1000; time < at; time += this.seconds * 1000) {
        this.rows.set(time, [time, null, null, null, null, null, null, null, "fill", true, 0]);
        this.times.push(time);
        made.push(time);
      }
    }
    this.rows.set(at, Number(row[COLUMN.trades]) === 0 && row[COLUMN.trades] !== null ? [at, null, null, null, null, null, null, 0, row[COLUMN.source], row[COLUMN.closed], row[COLUMN.revision]] : row);
    if (!before) {
      if (last === undefined || at > last) this.times.push(at); else this.sort();
    }
    made.push(at);
    return made;
  }

  /** The index of the bucket that holds a time, -1 before the first. */
  indexOf(ms) {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= ms) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  endOf(index) {
    return this.times[index + 1] ?? this.times[index] + (this.seconds || 31 * 86400) * 1000;
  }

  /** How many of the loaded buckets within a segment have no trade. */
  quietIn({ from, to }) {
    let count = 0;
    for (let index = Math.max(this.indexOf(from), 0); this.times[index] < to; index++) {
      const row = this.rows.get(this.times[index]);
      if (row[COLUMN.time] >= from && row[COLUMN.close] === null && row[COLUMN.closed]) count += 1;
    }
    return count;
  }

  /** The newest row with a price. */
  last() {
    for (let index = this.times.length - 1; index >= 0; index--) {
      const row = this.rows.get(this.times[index]);
      if (row[COLUMN.close] !== null) return row;
    }
    return null;
  }

  /** How many decimals the prices of the newest rows have. */
  decimals() {
    let most = 0;
    for (const time of this.times.slice(-300)) {
      const close = this.rows.get(time)[COLUMN.close];
      if (close?.includes(".")) most = Math.max(most, close.length - close.indexOf(".") - 1);
    }
    return Math.min(most, 12);
  }
}
