// The list of sounds in the history, in which several are judged at once; and that of sounds that were missed.
// Does not know: the filter's form, charts.

import { snoozeButton } from "./command.js";
import { address, node, row, seconds, send, table, time } from "./dom.js";
import { mediaMarks } from "./listen.js";
import { Outcome, judge, sounds, unjudge, verdictButtons, verdictText } from "./review.js";
import { zone } from "./zone.js";

const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", timeZone: zone });

// Lets rows be chosen, one or a range by the shift key, or all. `act`: makes the buttons of the bar.
class Choice {
  constructor(items, changed) {
    this.items = items;
    this.chosen = new Set();
    this.boxes = new Map();
    this.last = null;
    this.all = node("input", { type: "checkbox" });
    this.count = node("span", { class: "count" });
    this.buttons = [];
    this.changed = changed;
    this.all.addEventListener("change", () => this.set(this.items, this.all.checked));
  }

  box(item, text) {
    const box = node("input", { type: "checkbox", "aria-label": `Choose ${text}` });
    box.addEventListener("click", (event) => {
      const [from, until] = [this.items.indexOf(event.shiftKey && this.last ? this.last : item), this.items.indexOf(item)].sort((a, b) => a - b);
      this.last = item;
      this.set(this.items.slice(from, until + 1), box.checked);
    });
    this.boxes.set(item, box);
    return box;
  }

  set(items, is_chosen) {
    for (const item of items) {
      this.chosen[is_chosen ? "add" : "delete"](item);
      this.boxes.get(item).checked = is_chosen;
    }
    this.show();
  }

  show() {
    this.count.textContent = this.chosen.size ? `${this.chosen.size} chosen` : "none chosen";
    this.all.checked = this.chosen.size > 0 && this.chosen.size === this.items.length;
    this.all.indeterminate = this.chosen.size > 0 && !this.all.checked;
    for (const button of this.buttons) button.disabled = this.chosen.size === 0;
  }

  bar(buttons, outcome) {
    this.buttons = buttons;
    this.show();
    return node("div", { class: "bar", role: "toolbar", "aria-label": "What to do with the chosen" },
      node("label", { class: "check" }, this.all, "All on this page"), this.count, ...buttons, outcome.element);
  }
}

// `list`: the query string of the list that an event belongs to. `changed`: called after verdicts were changed. `said`: where
// the answers of devices are said. `listens`: clips and pictures may be asked for.
export function soundList(events, { list, mayJudge, listens, changed, said }) {
  const heads = [...(mayJudge ? ["Choose"] : []), "Began", "Sound", "Score", "Lasted", "Source", "Verdict", ...(mayJudge ? ["Snooze"] : [])];
  const outcome = new Outcome();
  const choice = new Choice(events.filter((event) => !event.test), changed);
  const cells = new Map();

  function show() {
    for (const [event, cell] of cells) cell.replaceChildren(verdictText(event));
  }

  async function choose(verdict, label = null) {
    const chosen = [...choice.chosen];
    try {
      const { text, before } = await judge(chosen, verdict, label);
      choice.set(chosen, false);
      outcome.say(text, before.length === 0 ? null : async () => {
        const undone = await unjudge(before, events);
        show();
        await changed();
        return undone;
      });
      show();
      await changed();
    } catch (error) {
      outcome.say(error.message);
    }
  }

  const rows = events.map((event) => {
    const link = node("a", { href: address({ view: "event", device: event.device, source: event.source, id: event.id, list }) }, event.label);
    const cell = node("span", {}, verdictText(event));
    cells.set(event, cell);
    const box = !mayJudge ? [] : [event.test ? "" : choice.box(event, `${event.label} of ${event.source}, ${dateTime.format(event.begin)}`)];
    return row(heads, [...box, time(event.begin), node("span", {}, link, event.test ? " (test)" : "",
      listens ? mediaMarks(event, event.media, `${event.label}, ${dateTime.format(event.begin)}`) : ""), event.score.toFixed(2),
      event.end === null ? "" : seconds(event.duration_s), `${event.device}: ${event.source}`, cell,
      ...(mayJudge ? [snoozeButton(event, said)] : [])]);
  });
  const buttons = Object.values(verdictButtons(choose, () => choice.chosen.size));
  const bar = mayJudge ? choice.bar(buttons, outcome) : null;
  bar?.append(said); // both stay in sight
  return [bar ?? said, table("Sounds, the newest first", heads, rows)];
}

// Sounds that somebody marked because they were not detected.
export function missedList(found, { mayJudge }) {
  const heads = [...(mayJudge ? ["Choose"] : []), "Began", "Sound", "Lasted", "Source", "Marked by", "Its sound"];
  const outcome = new Outcome();
  const choice = new Choice(found);
  const rows = new Map();
  const remove = node("button", { type: "button" }, "Remove");
  remove.addEventListener("click", async () => {
    const chosen = [...choice.chosen];
    try {
      const { removed } = await send("api/missed/remove", { numbers: chosen.map(({ number }) => number) });
      choice.set(chosen, false);
      for (const each of chosen) rows.get(each).hidden = true;
      outcome.say(`${sounds(removed.length)} removed.`, async () => {
        for (const each of removed) await send("api/missed/add", { device: each.device, source: each.source, label: each.label, begin: each.begin, end: each.end });
        for (const each of chosen) rows.get(each).hidden = false;
        remove.hidden = true; // they have other numbers now
        return `Undone: ${sounds(removed.length)} as before.`;
      });
    } catch (error) {
      outcome.say(error.message);
    }
  });
  for (const each of found) {
    const box = mayJudge ? [choice.box(each, `${each.label} of ${each.source}, ${dateTime.format(each.begin)}`)] : [];
    const sound = each.covered_by === null ? "none" : node("a", { href: address({ view: "event", device: each.device, source: each.source, id: each.covered_by }) }, "in this event");
    rows.set(each, row(heads, [...box, time(each.begin), each.label, seconds((each.end - each.begin) / 1000), `${each.device}: ${each.source}`, each.reviewer, sound]));
  }
  return [mayJudge ? choice.bar([remove], outcome) : "", table("Missed sounds, the newest first", heads, [...rows.values()]),
    node("p", { class: "note" }, "A missed sound is a note: a device keeps no sound of what it did not detect. It is in no chart.")];
}
