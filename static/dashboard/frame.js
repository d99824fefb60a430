// What every page does: theme, zone, keys, times that stay true, and short messages.

import { chooseZone, chosenZone, refreshTimes } from "./times.js";

/** Say something briefly; kind: good, error or notice. */
export function toast(words, kind = "notice") {
  const box = document.createElement("div");
  box.className = `toast ${kind}`;
  box.textContent = words;
  document.getElementById("toasts")?.append(box);
  setTimeout(() => box.remove(), kind === "error" ? 9000 : 4500);
}

/** Ask our API as the reader who is signed in; return its JSON, or throw an Error with what it says. */
export async function ask(url, method = "GET", body = undefined) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  let found = {};
  try { found = text ? JSON.parse(text) : {}; } catch { found = { detail: text.slice(0, 200) }; }
  if (!answer.ok) {
    const fields = Object.entries(found.errors ?? {}).map(([name, words]) => `${name}: ${[words].flat().join(" ")}`);
    throw new Error(fields.join("\n") || found.detail || `${answer.status} ${answer.statusText}`);
  }
  return found;
}

let alerts = Number(document.title.match(/^\((\d+)\) /)?.[1] ?? 0);

/** Name the page, with how many alerts there are. */
export function entitle(words) {
  const title = `${alerts ? `(${alerts}) ` : ""}${words}`;
  if (document.title !== title) document.title = title;
}

/** Say in menu, title and icon how many alerts there are now; worst: the level of the worst, empty without any. */
export function showAlerts(count, worst) {
  alerts = count;
  entitle(document.title.replace(/^\(\d+\) /, ""));
  const icon = document.querySelector('link[rel="icon"]');
  const wanted = worst === "error" ? icon.dataset.error : icon.dataset.well;
  if (icon.getAttribute("href") !== wanted) icon.href = wanted;
  const link = document.querySelector('.menu a[href="/alerts"]');
  link.querySelector(".count")?.remove();
  if (!count) return;
  const badge = document.createElement("span");
  badge.className = `count ${worst}`;
  badge.textContent = count;
  link.append(" ", badge);
}

const SILENT_MS = 3000; // a stream that comes back sooner is not worth a word
const standing = { lost: "", away: "" }; // why what is shown stands still
let silent = 0;

function stand(why, words) {
  standing[why] = words;
  document.getElementById("offline").textContent = standing.lost || standing.away;
}

/** Say when the page's stream is lost. */
export function showConnected(connected) {
  clearTimeout(silent);
  if (connected) stand("lost", "");
  else silent = setTimeout(() => stand("lost", "The connection to Candlekeep is lost: what is shown stands still. Trying again…"), SILENT_MS);
}

/** Say what the stream says of a server that does not answer; empty once it does. */
export function showAway(words) { stand("away", words); }

/** Show what the stream brings of a part of the page, so that focus and what is open in it stay. */
export function showPart(part, html) {
  if (part.pushed === html) return;
  part.pushed = html;
  htmx.swap({ text: html, target: part, sourceElement: part, swap: "innerMorph" });
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function switchTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  document.dispatchEvent(new CustomEvent("theme"));
}

function showZone() {
  const button = document.getElementById("zone");
  if (button) button.textContent = chosenZone() === "local" ? "local time" : "UTC";
  refreshTimes();
}

let afterG = 0;

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input, textarea, select, dialog")) return;
  if (Date.now() - afterG < 1200) {
    const link = document.querySelector(`.menu a[data-key="${CSS.escape(event.key)}"]`);
    afterG = 0;
    if (link) { event.preventDefault(); link.click(); return; }
  }
  if (event.key === "g") afterG = Date.now();
  else if (event.key === "?") document.getElementById("keys")?.showModal();
  else if (event.key === "t") switchTheme();
  else if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) { event.preventDefault(); search.focus(); search.select?.(); }
  }
}

/** Buttons that ask the API for something: data-post, with data-method, data-body and data-done (words for success). */
async function onClick(event) {
  const button = event.target.closest("[data-post]");
  if (!button) return;
  const question = button.dataset.sure;
  if (question && !confirm(question)) return;
  button.disabled = true;
  try {
    const body = button.dataset.body ? JSON.parse(button.dataset.body) : undefined;
    const found = await ask(button.dataset.post, button.dataset.method ?? "POST", body);
    toast(button.dataset.done ?? "Done.", "good");
    document.dispatchEvent(new CustomEvent("done", { detail: found }));
    for (const part of document.querySelectorAll("[hx-get]")) htmx.trigger(part, "refresh");
  } catch (error) {
    toast(error.message, "error");
  } finally {
    button.disabled = false;
  }
}

document.getElementById("theme")?.addEventListener("click", switchTheme);
document.getElementById("zone")?.addEventListener("click", () => chooseZone(chosenZone() === "local" ? "UTC" : "local"));
document.addEventListener("zone", showZone);
document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
/** What scrolls can be scrolled by keyboard. */
function letScroll() {
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0; else box.removeAttribute("tabindex");
  }
}

for (const name of ["htmx:after:swap", "htmx:after:process"]) document.addEventListener(name, () => { refreshTimes(); letScroll(); });
document.addEventListener("htmx:after:request", (event) => {
  const [count, worst] = (event.detail.ctx?.response?.headers.get("Candlekeep-Alerts") ?? "").split(" ");
  if (count) showAlerts(Number(count), worst);
});
// A page in the background costs nothing; it is brought up to date when it is looked at again.
document.addEventListener("htmx:config:request", (event) => { if (document.hidden) event.preventDefault(); });
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const part of document.querySelectorAll("[hx-get]")) htmx.trigger(part, "refresh");
});
addEventListener("resize", letScroll);
letScroll();
setInterval(refreshTimes, 1000);
showZone();
document.querySelector('.menu a[aria-current]')?.scrollIntoView({ block: "nearest", inline: "center" });
