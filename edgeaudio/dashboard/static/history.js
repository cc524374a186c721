// The view of the searchable history.

import { PERIODS, chart, spanOf } from "./chart.js";
import { answers } from "./command.js";
import { address, ask, main, node, query } from "./dom.js";
import { may } from "./me.js";
import { missedList, soundList } from "./sounds.js";
import { zone } from "./zone.js";
import { fromInput, toInput } from "./zones.js";

const FILTERS = ["device", "source", "label", "min_score", "from", "until", "last", "verdict"];
const VERDICTS = { "": "any", unreviewed: "none yet", right: "right", wrong: "wrong", other: "other label", missed: "missed" };

// Links to the latest so many hours or days, of the filter that is shown.
function periods(filter) {
  const { from, until, ...others } = filter;
  const link = (last, text) => node("a", { href: address({ view: "history", ...others, last }), "aria-current": last === filter.last && !from && !until ? "true" : null }, text);
  return node("nav", { class: "periods", "aria-label": "Period" }, ...Object.entries(PERIODS).map(([last, [text]]) => link(last, text)));
}

// The address of a training set: of what is judged.
function exported({ verdict, ...others }) {
  return `api/export${address({ ...others, verdict: ["right", "wrong", "other"].includes(verdict) ? verdict : "" })}`;
}

export async function history() {
  const filter = Object.fromEntries(FILTERS.map((key) => [key, query.get(key) ?? ""]));
  const mayRead = await may("reader"), mayJudge = await may("owner");
  const field = (key, text, attributes) => node("label", {}, text, node("input", { name: key, value: filter[key], ...attributes }));
  const form = node("form", { role: "search" },
    field("label", "Sound", { maxlength: 200 }), field("device", "Device", { maxlength: 64 }), field("source", "Source", { maxlength: 64 }),
    field("min_score", "Score from", { type: "number", min: 0, max: 1, step: 0.01 }),
    field("from", "From", { type: "datetime-local", value: toInput(filter.from, zone) }),
    field("until", "Until", { type: "datetime-local", value: toInput(filter.until, zone) }),
    node("label", {}, "Verdict", node("select", { name: "verdict" },
      ...Object.entries(VERDICTS).filter(([value]) => value !== "missed" || mayRead).map(([value, text]) => node("option", { value, selected: value === filter.verdict }, text)))),
    node("button", {}, "Search"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    for (const key of ["from", "until"]) values[key] = fromInput(values[key], zone);
    location.search = address({ view: "history", ...values });
  });
  const { last, ...asked } = filter;
  if (last && !asked.from) asked.from = spanOf(filter).from;
  const bars = node("div");
  const drawBars = async () => bars.replaceChildren(await chart({ ...filter, by: query.get("by") }));
  const is_missed = filter.verdict === "missed", after = query.get("after");
  const { verdict, ...others } = asked;
  const page = is_missed ? await ask(`api/missed${address({ ...others, after })}`) : await ask(`api/events${address({ ...asked, after })}`);
  const shown = is_missed ? page.sounds : page.events;
  await drawBars();
  const list = is_missed ? missedList(shown, { mayJudge }) : soundList(shown, { list: address(filter).slice(1), mayJudge, listens: mayRead, changed: drawBars, said: answers() });
  main.replaceChildren(node("h1", {}, "History"), form, periods(filter), bars,
    mayJudge ? node("p", {}, node("a", { href: exported(asked), download: "" }, "Download the reviewed sounds of this filter as a training set")) : "",
    ...(shown.length ? list : [node("p", {}, "No sound is in the history for this filter.")]),
    page.next ? node("p", {}, node("a", { href: address({ view: "history", ...filter, after: page.next }) }, "Earlier sounds")) : "");
}
