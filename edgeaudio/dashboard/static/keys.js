// Keys of one letter for what is done often. They can be switched off, and rest while somebody types (WCAG 2.1.4).

import { node } from "./dom.js";
import { remember, remembered } from "./storage.js";

const STORED = "edgeaudio-keys";

function isOn() {
  return remembered(STORED) !== "off";
}

// The attributes and the sign of a control that has a key.
export function withKey(letter) {
  return [{ "aria-keyshortcuts": letter }, node("kbd", { "aria-hidden": "true" }, letter)];
}

// Calls `acts[letter]` when it is pressed alone. Returns the switch, whose text is `text`.
export function keys(acts, text) {
  document.addEventListener("keydown", (event) => {
    const act = acts[event.key.toLowerCase()];
    if (!act || !isOn() || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select, dialog, [contenteditable]")) return;
    event.preventDefault();
    act();
  });
  const box = node("input", { type: "checkbox", checked: isOn() });
  box.addEventListener("change", () => remember(STORED, box.checked ? null : "off"));
  return node("label", { class: "check" }, box, text);
}
