// What people say about sounds: right, wrong, or another label.
// Owns: the words of verdicts, how they are sent, said and undone, and the question for another label. Does not know: views.

import { ask, node, row, send, table, time } from "./dom.js";
import { withKey } from "./keys.js";

const WORDS = { right: "right", wrong: "wrong", other: "other label" };

export function sounds(count) {
  return `${count} sound${count === 1 ? "" : "s"}`;
}

// The verdict on an event, as an element; empty: there is none.
export function verdictText({ verdict, given_label, reviewer }) {
  if (!verdict) return "";
  return node("span", { class: `verdict ${verdict}`, title: reviewer ? `by ${reviewer}` : null }, verdict === "other" ? `is ${given_label}` : WORDS[verdict]);
}

// A line that says what was done, with a way back. Screen readers are told.
export class Outcome {
  constructor() {
    this.text = node("span", { role: "status", tabindex: "-1" });
    this.button = node("button", { hidden: true }, "Undo");
    this.element = node("p", { class: "outcome" }, this.text, " ", this.button);
    this.undo = null;
    this.button.addEventListener("click", async () => {
      const undo = this.undo;
      this.say("");
      try { this.say(await undo()); } catch (error) { this.say(error.message); }
      this.text.focus(); // the button is gone
    });
  }

  // `undo`: resolves to what to say then; null: there is no way back.
  say(text, undo = null) {
    this.text.textContent = text;
    this.undo = undo;
    this.button.hidden = undo === null;
  }
}

function key({ device, source, id }) {
  return `${device}/${source}/${id}`;
}

// Sends one verdict on events, and takes it over into them; null: withdrawn. Resolves to {text, before}.
export async function judge(events, verdict, label = null) {
  const done = await send("api/reviews", { reviews: events.map(({ device, source, id }) => ({ device, source, id, verdict, label })) });
  const changed = new Set(done.before.map(key));
  for (const event of events) {
    if (!changed.has(key(event))) continue;
    const is_own = verdict === "other" && label === event.label;
    Object.assign(event, { verdict: is_own ? "right" : verdict, given_label: is_own ? null : label, reviewer: null });
  }
  const words = verdict === null ? "cleared" : verdict === "other" ? `marked as ${label}` : `marked ${WORDS[verdict]}`;
  const text = [`${sounds(done.before.length)} ${words}.`, done.unchanged ? `${done.unchanged} had that verdict already.` : "",
    done.left_out ? `${done.left_out} left out: a test, no longer in the history, or too many are reviewed.` : ""].filter(Boolean).join(" ");
  return { text, before: done.before };
}

// Gives events the verdicts that they had. Resolves to the text that says so.
export async function unjudge(before, events = []) {
  const done = await send("api/reviews", { reviews: before });
  const earlier = new Map(before.map((each) => [key(each), each]));
  for (const event of events) {
    const was = earlier.get(key(event));
    if (was) Object.assign(event, { verdict: was.verdict, given_label: was.label ?? null, reviewer: null });
  }
  return `Undone: ${sounds(done.before.length)} as before.`;
}

let suggestions = null;

// A field for a label, which offers those that are known.
export function labelField(text, value = "") {
  const list = node("datalist", { id: `labels-${Math.random().toString(36).slice(2)}` });
  suggestions ??= ask("api/labels").then(({ labels }) => labels).catch(() => []);
  suggestions.then((labels) => list.replaceChildren(...labels.map((label) => node("option", { value: label }))));
  const input = node("input", { name: "given", maxlength: 200, required: true, autocomplete: "off", list: list.id, value });
  return { element: node("label", {}, text, input, list), input };
}

// Asks for another label. Resolves to it, or to null.
export function askLabel(count) {
  const { element, input } = labelField("What was it?");
  const cancel = node("button", { type: "button" }, "Cancel");
  const form = node("form", { method: "dialog" }, element, node("button", {}, "Mark"), cancel);
  const dialog = node("dialog", { "aria-label": "Another label" }, node("h2", {}, `Another label for ${sounds(count)}`), form);
  return new Promise((resolve) => {
    let label = null;
    cancel.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", () => { label = input.value.trim() || null; });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(label); });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

// The buttons of a verdict, with their letters. `choose` is called with the verdict and the label, `count` says of how many.
export function verdictButtons(choose, count, letters = {}) {
  const button = (text, act, letter) => {
    const [attributes, sign] = letter ? withKey(letter) : [{}, ""];
    const made = node("button", { type: "button", ...attributes }, text, sign);
    made.addEventListener("click", act);
    return made;
  };
  const other = async () => {
    const label = await askLabel(count());
    if (label !== null) choose("other", label);
  };
  return {
    right: button("Right", () => choose("right"), letters.right), wrong: button("Wrong", () => choose("wrong"), letters.wrong),
    other: button("Other label…", other, letters.other), clear: button("Clear", () => choose(null), letters.clear),
  };
}

// Who changed the verdict, as a table; empty: nobody did.
export function logTable(log) {
  const heads = ["Changed", "By", "Verdict"];
  return log.length === 0 ? "" : table("Changes of the verdict, the newest first", heads, log.map((each) =>
    row(heads, [time(each.at), each.reviewer, verdictText({ verdict: each.verdict, given_label: each.label }) || "cleared"])));
}
