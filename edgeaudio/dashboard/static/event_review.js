// The part of an event's view in which it is judged, and which leads to the next.

import { spanOf } from "./chart.js";
import { address, ask, node, time } from "./dom.js";
import { keys, withKey } from "./keys.js";
import { may } from "./me.js";
import { Outcome, judge, logTable, unjudge, verdictButtons, verdictText } from "./review.js";
import { remember, remembered } from "./storage.js";

const FILTERS = ["device", "source", "label", "min_score", "from", "until", "last"];
const GO_ON = "edgeaudio-go-on", DONE = "edgeaudio-done"; // of this browser, and of this tab

// The next event that nobody has judged, of the list that this one belongs to: an older one, else the newest.
async function nextOf(event, filter) {
  const { last, ...asked } = filter;
  if (last && !asked.from) asked.from = spanOf(filter).from;
  for (const after of [event.place, null]) {
    const { events } = await ask(`api/events${address({ ...asked, verdict: "unreviewed", limit: 2, after })}`);
    const found = events.find((each) => each.id !== event.id || each.source !== event.source || each.device !== event.device);
    if (found) return found;
  }
  return null;
}

// `list`: the query string of the list that the event belongs to. Resolves to elements.
export async function reviewOf(event, list) {
  const wanted = new URLSearchParams(list ?? "");
  const filter = Object.fromEntries(FILTERS.filter((key) => wanted.has(key)).map((key) => [key, wanted.get(key)]));
  const verdict = node("p", { class: "summary" }), log = node("div"), outcome = new Outcome();
  const back = node("a", { href: address({ view: "history", ...filter, verdict: wanted.get("verdict") }) }, "To the list");

  function show(found) {
    verdict.replaceChildren("Verdict: ", verdictText(found) || "none yet", found.reviewer ? ` (${found.reviewer}, ` : "", found.reviewer ? time(found.reviewed) : "", found.reviewer ? ")" : "");
    log.replaceChildren(logTable(found.reviews));
  }
  show(event);
  if (event.test) return [node("p", { class: "note" }, "A test is no sound, and has no verdict."), node("p", {}, back)];
  if (!await may("owner")) return [verdict, log, node("p", {}, back)];

  const following = await nextOf(event, filter);
  const [nextKey, nextSign] = withKey("N");
  const next = following === null ? node("span", { class: "note" }, "No other sound is unreviewed.")
    : node("a", { href: address({ view: "event", device: following.device, source: following.source, id: following.id, list }), ...nextKey }, "Next unreviewed", nextSign);
  const goOn = node("input", { type: "checkbox", checked: remembered(GO_ON) === "on" });
  goOn.addEventListener("change", () => remember(GO_ON, goOn.checked ? "on" : null));

  async function refresh() {
    show(await ask(`api/events/${[event.device, event.source, event.id].map(encodeURIComponent).join("/")}`));
  }

  function undo(before) {
    return async () => {
      const text = await unjudge(before);
      await refresh();
      return text;
    };
  }

  async function choose(chosen, label = null) {
    try {
      const { text, before } = await judge([event], chosen, label);
      if (goOn.checked && chosen !== null && following !== null) {
        remember(DONE, JSON.stringify({ text: `${event.label}: ${text}`, before }), false);
        location.assign(next.href);
        return;
      }
      outcome.say(text, before.length === 0 ? null : undo(before));
      await refresh();
    } catch (error) {
      outcome.say(error.message);
    }
  }

  const done = JSON.parse(remembered(DONE, false) ?? "null");
  remember(DONE, null, false);
  if (done) outcome.say(done.text, done.before.length === 0 ? null : undo(done.before));
  const buttons = verdictButtons(choose, () => 1, { right: "R", wrong: "W", other: "O", clear: "C" });
  const press = (button) => () => button.click();
  const switched = keys({ r: press(buttons.right), w: press(buttons.wrong), o: press(buttons.other), c: press(buttons.clear), n: () => following && next.click() },
    "Keys R, W, O, C and N");
  return [node("h2", {}, "Is that so?"), verdict,
    node("div", { class: "bar", role: "toolbar", "aria-label": "Verdict" }, ...Object.values(buttons), next, outcome.element),
    node("div", { class: "bar" }, node("label", { class: "check" }, goOn, "Go on to the next after a verdict"), switched, back), log];
}
