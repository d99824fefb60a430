// A market's newest candles on its page in the admin: a look, which the page of the chart is one click away from.

import { CandleChart } from "./candle_chart.js";
import { Series } from "./series.js";

const BUCKETS = "300";
const box = document.getElementById("market-chart");
const notice = document.getElementById("market-chart-notice");
const series = new Series(box.dataset.market, "1m", 60);
const nothing = () => {};

function tell(words) {
  notice.textContent = words;
  notice.hidden = false;
  box.hidden = true;
}

async function show() {
  const answer = await fetch(series.question({ limit: BUCKETS, wait: "0" }), { headers: { Accept: "application/json" } });
  const found = await answer.json();
  if (!answer.ok) { tell(found.detail); return; }
  if (!found.candles) { tell("Its history is being fetched."); return; }
  series.take(found, true);
  if (!series.last()) { tell("No candles are stored of it yet."); return; }
  const view = new CandleChart(box, { onRange: nothing, onHover: nothing });
  view.show(series);
  new MutationObserver(() => view.paint()).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
}

show().catch((error) => tell(`The candles do not come: ${error.message}`));
