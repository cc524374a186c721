// The view of the searchable history.

import { chart } from "./chart.js";
import { address, ask, main, node, query, row, seconds, table, time } from "./dom.js";

const FILTERS = ["device", "source", "label", "min_score", "from", "until"];

function localInput(ms) {
  const at = new Date(Number(ms));
  if (!ms || isNaN(at)) return "";  // an address can hold anything: the answer to the search says what is wrong
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export async function history() {
  const filter = Object.fromEntries(FILTERS.map((key) => [key, query.get(key) ?? ""]));
  const heads = ["Began", "Sound", "Score", "Lasted", "Source"];
  const field = (key, text, attributes) => node("label", {}, text, node("input", { name: key, value: filter[key], ...attributes }));
  const form = node("form", { role: "search" },
    field("label", "Sound", { maxlength: 200 }), field("device", "Device", { maxlength: 64 }), field("source", "Source", { maxlength: 64 }),
    field("min_score", "Score from", { type: "number", min: 0, max: 1, step: 0.01 }),
    field("from", "From", { type: "datetime-local", value: localInput(filter.from) }),
    field("until", "Until", { type: "datetime-local", value: localInput(filter.until) }),
    node("button", {}, "Search"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    for (const key of ["from", "until"]) values[key] = values[key] ? new Date(values[key]).getTime() : "";
    location.search = address({ view: "history", ...values });
  });
  const page = await ask(`api/events${address({ ...filter, after: query.get("after") })}`);
  const rows = page.events.map((event) => row(heads, [
    time(event.begin),
    node("span", {}, node("a", { href: address({ view: "event", device: event.device, source: event.source, id: event.id }) }, event.label), event.test ? " (test)" : ""),
    event.score.toFixed(2), event.end === null ? "" : seconds(event.duration_s), `${event.device}: ${event.source}`]));
  main.replaceChildren(node("h1", {}, "History"), form, await chart(filter),
    rows.length ? table("Sounds, the newest first", heads, rows) : node("p", {}, "No sound is in the history for this filter."),
    page.next ? node("p", {}, node("a", { href: address({ view: "history", ...filter, after: page.next }) }, "Earlier sounds")) : "");
}
