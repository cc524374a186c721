// Marks what was not detected, in the live view: a label and a span of time, chosen in the spectrogram or typed.
// Owns: its form, and the box over the spectrogram. Does not know: columns.

import { node, send } from "./dom.js";
import { keys, withKey } from "./keys.js";
import { may } from "./me.js";
import { Outcome, labelField } from "./review.js";
import { zone } from "./zone.js";

const DEFAULT_S = 5, LEAST_S = 0.1, LONGEST_S = 30;
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", timeZone: zone });

// `shown`: the Spectrogram; `pause(paused)` holds it still. Resolves to elements that go below it.
export async function missedForm(shown, pause, device, source) {
  if (!await may("owner")) return [];
  const outcome = new Outcome();
  const [key, sign] = withKey("M");
  const open = node("button", { type: "button", "aria-expanded": "false", ...key }, "Mark a missed sound", sign);
  const { element: label, input } = labelField("What was missed?");
  const number = (value, text, name) => {
    const field = node("input", { type: "number", name, min: LEAST_S, max: LONGEST_S, step: 0.1, value, required: true });
    return { field, element: node("label", {}, text, field) };
  };
  const ago = number(DEFAULT_S, "Began, seconds before the right edge", "ago"), length = number(DEFAULT_S, "Lasted, seconds", "length");
  const when = node("p", { class: "note" });
  const cancel = node("button", { type: "button" }, "Cancel");
  const form = node("form", { hidden: true, class: "missed" }, label, ago.element, length.element, node("button", {}, "Mark"), cancel, when);
  const boxes = [node("div", { class: "selection", hidden: true }), node("div", { class: "selection", hidden: true })];
  const stage = node("div", { class: "stage" });
  shown.canvas.replaceWith(stage);
  stage.append(shown.canvas, ...boxes);
  let edge_ms = 0, was_paused = false;

  function span() {
    const begin = edge_ms - 1000 * Number(ago.field.value);
    return { begin: Math.round(begin), end: Math.round(begin + 1000 * Number(length.field.value)) };
  }

  function show() {
    const { begin, end } = span();
    when.textContent = begin < end ? `From ${clock.format(begin)}, ${((end - begin) / 1000).toFixed(1)} s. In the spectrogram, the span can be drawn with the pointer.` : "";
    const parts = form.hidden ? [] : shown.placesOf(begin, end);
    boxes.forEach((box, index) => {
      box.hidden = index >= parts.length;
      if (box.hidden) return;
      box.style.left = `${parts[index].left}px`;
      box.style.width = `${parts[index].width}px`;
      box.style.height = `${parts[index].height}px`;
    });
  }

  function begin() {
    if (!form.hidden) return;
    was_paused = shown.paused;
    pause(true);
    edge_ms = shown.edge_ms();
    ago.field.value = length.field.value = DEFAULT_S;
    form.hidden = false;
    open.setAttribute("aria-expanded", "true");
    show();
    input.focus();
  }

  function end() {
    form.hidden = true;
    open.setAttribute("aria-expanded", "false");
    show();
    pause(was_paused);
    open.focus();
  }

  function choose(from_ms, until_ms) {
    const [first, last] = [from_ms, until_ms].sort((a, b) => a - b).map((ms) => Math.min(ms, edge_ms));
    ago.field.value = Math.max(LEAST_S, (edge_ms - first) / 1000).toFixed(1);
    length.field.value = Math.max(LEAST_S, (last - first) / 1000).toFixed(1);
    show();
  }

  let drawn_from = null;
  shown.canvas.addEventListener("pointerdown", (event) => {
    if (form.hidden || event.button !== 0) return;
    drawn_from = shown.timeAt(event.offsetX);
    shown.canvas.setPointerCapture(event.pointerId);
    choose(drawn_from, drawn_from);
  });
  shown.canvas.addEventListener("pointermove", (event) => {
    if (drawn_from !== null) choose(drawn_from, shown.timeAt(event.offsetX));
  });
  for (const over of ["pointerup", "pointercancel"]) shown.canvas.addEventListener(over, () => { drawn_from = null; });
  form.addEventListener("input", show);
  form.addEventListener("keydown", (event) => { if (event.key === "Escape") end(); });
  new ResizeObserver(show).observe(shown.canvas);
  open.addEventListener("click", () => form.hidden ? begin() : end());
  cancel.addEventListener("click", end);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const added = await send("api/missed/add", { device, source, label: input.value, ...span() });
      input.value = "";
      end();
      outcome.say(`Marked as missed: ${added.label}, ${((added.end - added.begin) / 1000).toFixed(1)} s at ${clock.format(added.begin)}.`, async () => {
        await send("api/missed/remove", { numbers: [added.number] });
        return "Undone: the mark is removed.";
      });
    } catch (error) {
      outcome.say(error.message);
    }
  });
  return [node("div", { class: "bar" }, open, keys({ m: begin }, "Key M"), outcome.element), form];
}
