// The view of the searchable history.

import { PERIODS, chart, spanOf } from "./chart.js";
import { answers, snoozeButton } from "./command.js";
import { address, ask, main, node, query, row, seconds, table, time } from "./dom.js";
import { mediaMarks } from "./listen.js";
import { may } from "./me.js";
import { zone } from "./zone.js";
import { fromInput, toInput } from "./zones.js";

const FILTERS = ["device", "source", "label", "min_score", "from", "until", "last"];

// Links to the latest so many hours or days, of the filter that is shown.
function periods(filter) {
  const { from, until, ...others } = filter;
  const link = (last, text) => node("a", { href: address({ view: "history", ...others, last }), "aria-current": last === filter.last && !from && !until ? "true" : null }, text);
  return node("nav", { class: "periods", "aria-label": "Period" }, ...Object.entries(PERIODS).map(([last, [text]]) => link(last, text)));
}

export async function history() {
  const filter = Object.fromEntries(FILTERS.map((key) => [key, query.get(key) ?? ""]));
  const said = answers(), isOwner = await may("owner");
  const heads = ["Began", "Sound", "Score", "Lasted", "Source", ...isOwner ? ["Snooze"] : []];
  const field = (key, text, attributes) => node("label", {}, text, node("input", { name: key, value: filter[key], ...attributes }));
  const form = node("form", { role: "search" },
    field("label", "Sound", { maxlength: 200 }), field("device", "Device", { maxlength: 64 }), field("source", "Source", { maxlength: 64 }),
    field("min_score", "Score from", { type: "number", min: 0, max: 1, step: 0.01 }),
    field("from", "From", { type: "datetime-local", value: toInput(filter.from, zone) }),
    field("until", "Until", { type: "datetime-local", value: toInput(filter.until, zone) }),
    node("button", {}, "Search"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    for (const key of ["from", "until"]) values[key] = fromInput(values[key], zone);
    location.search = address({ view: "history", ...values });
  });
  const { last, ...asked } = filter;
  if (last && !asked.from) asked.from = spanOf(filter).from;
  const [page, listens] = await Promise.all([ask(`api/events${address({ ...asked, after: query.get("after") })}`), may("reader")]);
  const rows = page.events.map((event) => row(heads, [
    time(event.begin),
    node("span", {}, node("a", { href: address({ view: "event", device: event.device, source: event.source, id: event.id }) }, event.label), event.test ? " (test)" : "",
      listens ? mediaMarks(event, event.media, `${event.label}, ${time(event.begin).textContent}`) : ""),
    event.score.toFixed(2), event.end === null ? "" : seconds(event.duration_s), `${event.device}: ${event.source}`,
    ...isOwner ? [snoozeButton(event, said)] : []]));
  main.replaceChildren(node("h1", {}, "History"), form, periods(filter), await chart({ ...filter, by: query.get("by") }), said,
    rows.length ? table("Sounds, the newest first", heads, rows) : node("p", {}, "No sound is in the history for this filter."),
    page.next ? node("p", {}, node("a", { href: address({ view: "history", ...filter, after: page.next }) }, "Earlier sounds")) : "");
}
