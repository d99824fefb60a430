// What opens over the chart: code to copy, exports, and the story of a gap.

import { toast } from "./frame.js";
import { inWords } from "./ribbon.js";

const open = (id) => document.getElementById(id).showModal();

/** The code that asks for what is shown, by language. */
function code(language, base, series, from, to, count) {
  const question = `market=${series.market}&timeframe=${series.timeframe}&from=${from}&to=${to}`;
  const url = `${base}/api/v1/candles?${question}`;
  const stream = `${base}/api/v1/candles/stream?market=${series.market}&timeframe=${series.timeframe}`;
  return {
    curl: `curl '${url}'`,
    Python: `import json\nfrom urllib.request import urlopen\n\nanswer = json.load(urlopen("${url}"))\nassert answer["complete"], answer["coverage"]  # nothing is missing\nfor time, open_, high, low, close, volume, *_ in answer["candles"]:\n    print(time, open_, high, low, close, volume)  # decimals as text: exact`,
    JavaScript: `const answer = await (await fetch("${url}")).json();\nif (!answer.complete) throw new Error(JSON.stringify(answer.coverage)); // what is missing\nfor (const [time, open, high, low, close, volume] of answer.candles) console.log(time, open, high, low, close, volume);`,
    ccxt: `import ccxt  # pip install ccxt\n\nexchange = ccxt.binance({"options": {"fetchMarkets": {"types": ["spot"]}}})\nexchange.urls["api"]["public"] = "${base}/binance/api/v3"  # Candlekeep in the place of Binance\nexchange.load_markets(params={"symbol": "${series.market}"})\n(pair,) = exchange.symbols\nfor candle in exchange.fetch_ohlcv(pair, "${series.timeframe}", since=${from}, limit=${Math.min(count, 1000)}):\n    print(*candle)  # ms, open, high, low, close, volume: floats`,
    Stream: `curl -NL '${stream}'\n\n// in a page\nnew EventSource("${stream}").addEventListener("candle", (event) => console.log(JSON.parse(event.data)));`,
  }[language];
}

export function setUpDialogs(shown, base) {
  const languages = [...document.querySelectorAll("[data-language]")];
  let language = "curl";

  function showCode() {
    const { series, first, last } = shown();
    if (!series?.times.length) return;
    document.getElementById("code").textContent = code(language, base, series, series.times[first], series.endOf(last), last - first + 1);
    for (const one of languages) one.setAttribute("aria-pressed", String(one.dataset.language === language));
  }

  for (const button of languages) button.addEventListener("click", () => { language = button.dataset.language; showCode(); });
  document.getElementById("copy").addEventListener("click", () => { showCode(); open("copy-box"); });
  document.getElementById("copy-now").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById("code").textContent);
      toast("Copied.", "good");
    } catch {
      getSelection().selectAllChildren(document.getElementById("code"));
      toast("This page may not write to the clipboard: the code is selected, copy it by key.");
    }
  });
  document.getElementById("export").addEventListener("click", () => {
    const { series, first, last } = shown();
    if (!series?.times.length) return;
    const [from, to] = [series.times[first], series.endOf(last)];
    for (const link of document.querySelectorAll("[data-format]")) {
      const format = link.dataset.format;
      link.href = `/api/v1/candles?${new URLSearchParams({ market: series.market, timeframe: series.timeframe, from, to, limit: "10000", format })}`;
      // freqtrade finds its files by their names.
      const pair = series.market.slice(series.market.indexOf(":") + 1).replace("-", "_");
      const name = format === "feather" ? pair : series.market.replace(/[^\w-]/g, "_");
      link.download = `${name}-${series.timeframe}.${link.dataset.suffix}`;
    }
    document.getElementById("export-command").textContent = `.venv/bin/python manage.py export ${series.market} --timeframe ${series.timeframe} --output candles.csv --from ${new Date(from).toISOString()} --to ${new Date(to).toISOString()}`;
    open("export-box");
  });
}

/** Tell the story of a gap, and let staff try to fill it now. */
export function tellGap(segment, series, isStaff) {
  const place = document.getElementById("gap-story");
  const [title, ...lines] = inWords(segment, series);
  document.getElementById("gap-title").textContent = title;
  place.replaceChildren(...lines.map((words) => {
    const row = document.createElement("p");
    row.textContent = words;
    return row;
  }));
  const story = document.createElement("p");
  const link = document.createElement("a");
  link.href = `/gaps?${new URLSearchParams({ market: series.market, at: String(segment.from) })}`;
  link.textContent = "When it was lost, what was tried, and what is next";
  story.append(link);
  place.append(story);
  if (isStaff) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "primary";
    button.textContent = "Try now";
    button.dataset.post = "/api/v1/backfill";
    button.dataset.body = JSON.stringify({ market: series.market, timeframe: series.timeframe, from: segment.from, to: segment.to, again: true });
    button.dataset.done = "The provider is asked; the ribbon shows when it is filled.";
    place.append(button);
  }
  open("gap-box");
}
