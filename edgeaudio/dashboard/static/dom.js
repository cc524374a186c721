// Elements, addresses and words that every view uses. Everything that came over MQTT is set as text, never as markup.
// Addresses are relative, so that the page works below any path.

import { zone } from "./zone.js";

export const MAX_ROWS = 300;
export const query = new URLSearchParams(location.search);
export const main = document.getElementById("main");
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", timeZone: zone });

export function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== null && value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

// A query string of these values. That of a view keeps the zone of this page's address.
export function address(values) {
  const wanted = new URLSearchParams();
  if (values.view && query.has("zone")) wanted.set("zone", query.get("zone"));
  for (const [key, value] of Object.entries(values)) if (value !== null && value !== "" && value !== undefined) wanted.set(key, value);
  return `?${wanted}`;
}

export function time(ms) {
  return ms === null ? "" : node("time", { datetime: new Date(ms).toISOString() }, dateTime.format(ms));
}

const timeOfDay = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", timeZone: zone });
const day = new Intl.DateTimeFormat("en", { dateStyle: "short", timeZone: zone });

// A time of today without its date.
export function recentTime(ms) {
  return day.format(ms) === day.format(Date.now()) ? node("time", { datetime: new Date(ms).toISOString() }, timeOfDay.format(ms)) : time(ms);
}

export function ago(ms) {
  if (ms === null) return "";
  const s = Math.max(0, Math.round((Date.now() - ms) / 1000));
  return s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}

export function seconds(s) {
  return s === null ? "" : s < 90 ? `${s.toFixed(1)} s` : s < 5400 ? `${(s / 60).toFixed(1)} min` : `${(s / 3600).toFixed(1)} h`;
}

const NUMBERS = new Set(["Score", "Since", "Sound lost", "Lasted", "Sounds"]); // heads of columns that are read by their last digit

// The names of columns: a row for the head of a table.
export function head(heads) {
  return node("thead", {}, node("tr", {}, ...heads.map((name) => node("th", { scope: "col", class: NUMBERS.has(name) ? "number" : null }, name))));
}

export function table(caption, heads, rows) {
  return node("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    node("table", {}, node("caption", {}, caption),
      head(heads),
      node("tbody", {}, ...rows)));
}

export function row(heads, cells, attributes = {}) {
  return node("tr", attributes, ...cells.map((cell, index) => node("td", { "data-head": heads[index], class: NUMBERS.has(heads[index]) ? "number" : null }, cell)));
}

// Leaves for the login, which leads back to this view.
export function toLogin() {
  location.assign(`login?next=${encodeURIComponent(location.search)}`);
}

// Makes the rows of a table's body those given. Only cells that differ are replaced, so that focus and selection stay.
export function updateRows(body, rows) {
  const focused = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  while (body.children.length > rows.length) body.lastChild.remove();
  rows.forEach((made, index) => {
    const old = body.children[index];
    if (!old) body.append(made);
    else if (old.cells.length !== made.cells.length) old.replaceWith(made);
    else [...made.cells].forEach((cell, at) => { if (old.cells[at].innerHTML !== cell.innerHTML) old.cells[at].replaceWith(cell); });
  });
  // a row that moved took its link along
  if (focused !== null && !body.contains(document.activeElement)) {
    [...body.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
  }
}

// What the dashboard says no to; its message is for people.
export class Refusal extends Error {}

export function ask(path) {
  return answered(fetch(path, { headers: { Accept: "application/json" } }));
}

export function send(path, value) {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  return answered(fetch(path, { method: "POST", headers, body: JSON.stringify(value) }));
}

async function answered(request) {
  const answer = await request;
  if (answer.status === 401) toLogin();
  const value = await answer.json();
  if (!answer.ok) throw new Refusal(value.error);
  return value;
}
