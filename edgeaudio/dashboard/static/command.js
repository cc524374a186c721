// Commands to devices, and their answers in words.

import { Refusal, node, send } from "./dom.js";

// Sends a command; returns whether the device obeyed, and what it answered, or why there is no answer.
export async function command(values, done) {
  try {
    const found = await send("api/command", values);
    return found.ok ? { ok: true, text: done } : { ok: false, text: found.answered ? `${values.device} refuses: ${found.error}` : found.error };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, text: error.message };
    return { ok: false, text: "The dashboard does not answer: nothing is known of this command." };
  }
}

// Where answers are said: one for a view, read by screen readers.
export function answers() {
  return node("p", { id: "answer", role: "status" });
}

// Shows a command's answer; its control cannot be used meanwhile, and keeps the focus. Returns whether the device obeyed.
export async function act(control, said, values, waiting, done) {
  if (control.getAttribute("aria-disabled") === "true") return false;
  control.setAttribute("aria-disabled", "true");
  said.className = "";
  said.textContent = waiting;
  const { ok, text } = await command(values, done);
  control.removeAttribute("aria-disabled");
  said.className = ok ? "good" : "error";
  said.textContent = text;
  return ok;
}

// A button that snoozes the label of an event where it was heard.
export function snoozeButton({ device, source, label }, said) {
  const where = `${label} at ${device}: ${source}`;
  const button = node("button", { type: "button", "aria-label": `Snooze 1 h: ${where}` }, "Snooze 1 h");
  button.addEventListener("click", () => act(button, said, { device, source, command: "snooze", label, value: 3600 },
    `Snoozing ${where}…`, `${where} is snoozed for 1 h.`));
  return button;
}
