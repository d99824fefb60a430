// Times and numbers as the pages show them. Times are milliseconds since 1970; the reader chooses UTC or the local zone.

let zone = localStorage.getItem("zone") === "local" ? "local" : "UTC";

export function chosenZone() { return zone; }

export function chooseZone(name) {
  zone = name;
  localStorage.setItem("zone", name);
  document.dispatchEvent(new CustomEvent("zone"));
}

export function span(seconds) {
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * length) return `${Math.round(seconds / length)} ${unit}`;
  }
  return `${Math.max(Math.round(seconds), 0)} s`;
}

const two = (number) => String(number).padStart(2, "0");

/** The parts of a time in the chosen zone. */
export function parts(ms) {
  const date = new Date(zone === "local" ? ms - new Date(ms).getTimezoneOffset() * 60000 : ms);
  return {
    day: `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`,
    time: `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`,
    ms: String(date.getUTCMilliseconds()).padStart(3, "0"),
  };
}

export function exact(ms) {
  const at = parts(ms);
  return `${at.day} ${at.time}.${at.ms}`;
}

export function minute(ms) {
  const at = parts(ms);
  return `${at.day} ${at.time.slice(0, 5)}`;
}

/** A decimal text with its thousands apart; digits are never rounded. */
export function grouped(text) {
  if (text === null || text === undefined) return "–";
  const [whole, rest] = String(text).split(".");
  const apart = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return rest === undefined ? apart : `${apart}.${rest}`;
}

/** A number for a column, where the order of magnitude is what is read: 1.24 M. */
export function short(text) {
  const number = Number(text);
  if (text === null || text === undefined || Number.isNaN(number)) return "–";
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (Math.abs(number) >= size) return `${(number / size).toFixed(2)} ${unit}`;
  }
  return number.toFixed(Math.abs(number) >= 100 ? 0 : 2);
}

/** Bring every <time> of a part of the page up to date. */
export function refreshTimes(root = document) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-form]")) {
    const at = Date.parse(element.dateTime);
    const age = (now - at) / 1000;
    const form = element.dataset.form;
    const words = form === "exact" ? exact(at) : form === "time" ? exact(at).slice(11) : age < 0 ? `in ${span(-age)}` : `${span(age)} ago`;
    if (element.textContent !== words) element.textContent = words;
    element.title = `${exact(at)} ${zone === "local" ? "local time" : "UTC"}`;
  }
}
