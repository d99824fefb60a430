// The page of the markets: prices that move, sorting, filtering, searching. One stream for the whole page.

import { follow } from "./follow.js";
import { showAway, showConnected, showPart, showAlerts } from "./frame.js";
import { grouped, short, span } from "./times.js";

const body = document.getElementById("rows");
const search = document.getElementById("search");
const only = document.getElementById("only");
const heads = [...document.querySelectorAll("#markets thead [data-sort]")];
const address = new URL(location.href);
const sorting = { by: address.searchParams.get("sort") ?? "market", down: address.searchParams.has("down") };
let ahead = 0; // the server's clock - ours, ms

const rowOf = (market) => body.querySelector(`tr[data-market="${CSS.escape(market)}"]`);

// --- What moves ---

function show(ticker) {
  const row = rowOf(ticker.market);
  if (!ticker.followed) { row?.remove(); arrange(); return; }
  if (!row) { refresh(); return; }

  row.dataset.feed = ticker.feed;
  row.dataset.gaps = ticker.complete ? "no" : "yes";
  const last = row.querySelector(".last");
  if (ticker.last !== null && last.dataset.value !== ticker.last) {
    const rose = Number(ticker.last) > Number(last.dataset.value);
    const words = document.createElement("span");
    words.textContent = grouped(ticker.last);
    if (last.dataset.value) words.className = rose ? "rose" : "fell";
    last.replaceChildren(words);
    last.dataset.value = ticker.last;
  }

  const change = row.querySelector(".change");
  change.dataset.value = ticker.change_percent ?? "";
  const words = document.createElement("span");
  const percent = Number(ticker.change_percent);
  words.className = percent < 0 ? "down" : "up";
  words.textContent = ticker.change_percent === null ? "-" : `${percent < 0 ? "" : "+"}${percent.toFixed(2)} %`;
  change.replaceChildren(words);

  const volume = row.querySelector(".volume");
  volume.dataset.value = volume.title = ticker.volume;
  volume.textContent = short(ticker.volume);
  row.querySelector(".age").dataset.until = ticker.live_until ?? "";
  const tag = row.querySelector(".feed .tag");
  tag.textContent = ticker.feed;
  tag.className = `tag ${ticker.feed}`;
  if (ticker.freshness !== null) ahead = ticker.live_until + ticker.freshness - Date.now();
}

/** Show the cells of a market that its ticker does not tell: sparkline, coverage, proof. */
function showCells({ market, cells }) {
  const fresh = document.createElement("tr");
  fresh.innerHTML = cells;
  const row = rowOf(market);
  for (const cell of row ? [...fresh.children] : []) row.querySelector(`.${cell.classList[cell.classList.length - 1]}`).replaceWith(cell);
}

function showAges() {
  for (const cell of body.querySelectorAll(".age")) {
    const until = Number(cell.dataset.until);
    const words = until ? span((Date.now() + ahead - until) / 1000) : "never";
    if (cell.textContent !== words) cell.textContent = words;
  }
}

let fetching = null;

/** Fetch the rows of markets that are new here, once for however many there are. */
function refresh() {
  fetching ??= fetch("/?part=rows").then(async (answer) => {
    if (!answer.ok) return;
    const fresh = document.createElement("tbody");
    fresh.innerHTML = await answer.text();
    for (const row of [...fresh.children]) if (!rowOf(row.dataset.market)) body.append(row);
    arrange();
  }).catch(() => {}).finally(() => { fetching = null; });
}

// --- Sorting and filtering ---

function value(row, by) {
  if (by === "market") return row.dataset.market;
  if (by === "feed" || by === "proof") return row.querySelector(`.${by}`).textContent.trim();
  if (by === "age") return Number(row.querySelector(".age").dataset.until) || 0;
  const text = row.querySelector(`.${by}`).dataset.value;
  return text === "" ? -Infinity : Number(text);
}

function arrange() {
  const rows = [...body.querySelectorAll("tr")];
  const sign = sorting.down ? -1 : 1;
  const inOrder = [...rows].sort((one, other) => {
    const [a, b] = [value(one, sorting.by), value(other, sorting.by)];
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  });
  if (inOrder.some((row, index) => row !== rows[index])) body.append(...inOrder);

  const wanted = search.value.toUpperCase().replace(/[^A-Z0-9]/g, "");
  let shown = 0;
  for (const row of rows) {
    const name = row.dataset.market.toUpperCase().replace(/[^A-Z0-9]/g, "");
    const fits = only.value === "live" ? row.dataset.feed === "live"
      : only.value === "trouble" ? row.dataset.feed !== "live" || row.dataset.gaps === "yes" : true;
    row.hidden = !(fits && name.includes(wanted));
    shown += !row.hidden;
  }
  document.getElementById("count").textContent = shown === rows.length ? "" : `${shown} of ${rows.length}`;
  document.getElementById("none").hidden = rows.length > 0;
  document.getElementById("nothing").hidden = shown > 0 || rows.length === 0;
  for (const head of heads) {
    const cell = head.closest("th");
    if (head.dataset.sort !== sorting.by) cell.removeAttribute("aria-sort");
    else cell.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
  }
}

function remember() {
  const now = new URL(location.href);
  for (const [name, text] of [["q", search.value], ["only", only.value], ["sort", sorting.by === "market" ? "" : sorting.by], ["down", sorting.down ? "1" : ""]]) {
    if (text) now.searchParams.set(name, text); else now.searchParams.delete(name);
  }
  history.replaceState(null, "", now);
}

let typing = null;

async function searchPairs() {
  const place = document.getElementById("pairs");
  if (search.value.trim().length < 2) { place.replaceChildren(); return; }
  const answer = await fetch(`/?part=pairs&q=${encodeURIComponent(search.value)}`);
  if (answer.ok) place.innerHTML = await answer.text();
}

function onSearch() {
  arrange();
  remember();
  clearTimeout(typing);
  typing = setTimeout(searchPairs, 200);
}

search.value = address.searchParams.get("q") ?? "";
only.value = address.searchParams.get("only") ?? "";
search.addEventListener("input", onSearch);
search.addEventListener("keydown", (event) => { if (event.key === "Escape") { search.value = ""; onSearch(); search.blur(); } });
only.addEventListener("change", () => { arrange(); remember(); });
for (const head of heads) {
  head.addEventListener("click", () => {
    const by = head.dataset.sort;
    sorting.down = by === sorting.by ? !sorting.down : by !== "market";
    sorting.by = by;
    arrange();
    remember();
  });
}
document.addEventListener("done", () => { refresh(); searchPairs(); });

follow("/?part=stream", {
  tickers: (tickers) => { tickers.forEach(show); arrange(); },
  summary: (html) => showPart(document.getElementById("summary"), html),
  cells: showCells,
  away: showAway,
  alerts: ({ count, worst }) => showAlerts(count, worst),
  state: showConnected,
});
setInterval(showAges, 1000);
arrange();
if (search.value) searchPairs();
