// Forms of the pages that list things: one that asks the API for what its fields say, and filters that apply at once.

import { ask, toast } from "./frame.js";

/** Ask the API for what a form with data-send says, as JSON; then let the page's parts refresh themselves. */
async function send(form) {
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await ask(form.dataset.send, "POST", Object.fromEntries(new FormData(form)));
    toast(form.dataset.done ?? "Done.", "good");
    form.reset();
    for (const part of document.querySelectorAll("[hx-get]")) htmx.trigger(part, "refresh");
  } catch (error) {
    toast(error.message, "error");
  } finally {
    button.disabled = false;
  }
}

/** Ask the API once for each of the addresses in data-each, in order, and say how many it refused. */
async function sendEach(button) {
  const addresses = button.dataset.each.split(" ").filter(Boolean);
  if (button.dataset.sure && !confirm(button.dataset.sure)) return;
  button.disabled = true;
  const refused = [];
  for (const address of addresses) {
    try { await ask(address, "POST"); } catch (error) { refused.push(error.message); }
  }
  button.disabled = false;
  const done = addresses.length - refused.length;
  if (done) toast(`${done} of ${addresses.length}: ${button.dataset.done}`, "good");
  if (refused.length) toast(`${refused.length} refused. ${refused[0]}`, "error");
  for (const part of document.querySelectorAll("[hx-get]")) htmx.trigger(part, "refresh");
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-send]")) return;
  event.preventDefault();
  send(event.target);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-each]");
  if (button) sendEach(button);
});
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-filter]");
  if (form && event.target.matches("select")) form.requestSubmit();
});
