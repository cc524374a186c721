// The page of `edgeaudio dashboard`. Every view is an address; everything that came over MQTT is set as text, never as
// markup. Addresses are relative, so that the page works below any path.

import { LiveView } from "./live.js";

const MAX_ROWS = 300;
const POLL_MS = 5000;
const TROUBLE = new Set(["connecting", "stalled", "waiting", "failed", "quarantined", "silent", "clipping", "hum", "unknown"]);
const query = new URLSearchParams(location.search);
const main = document.getElementById("main");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const hour = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" });

function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== null && value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

function address(values) {
  const wanted = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) if (value !== null && value !== "" && value !== undefined) wanted.set(key, value);
  return `?${wanted}`;
}

function time(ms) {
  return ms === null ? "" : node("time", { datetime: new Date(ms).toISOString() }, dateTime.format(ms));
}

function ago(ms) {
  if (ms === null) return "";
  const s = Math.max(0, Math.round((Date.now() - ms) / 1000));
  return s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}

function seconds(s) {
  return s === null ? "" : s < 90 ? `${s.toFixed(1)} s` : s < 5400 ? `${(s / 60).toFixed(1)} min` : `${(s / 3600).toFixed(1)} h`;
}

function table(caption, heads, rows) {
  return node("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    node("table", {}, node("caption", {}, caption),
      node("thead", {}, node("tr", {}, ...heads.map((head) => node("th", { scope: "col" }, head)))),
      node("tbody", {}, ...rows)));
}

function row(heads, cells, attributes = {}) {
  return node("tr", attributes, ...cells.map((cell, index) => node("td", { "data-head": heads[index] }, cell)));
}

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error);
  return value;
}

function report(error) {
  main.replaceChildren(node("h1", {}, "This does not work"), node("p", { class: "error", role: "alert" }, error.message));
}

// --- what comes by itself: a WebSocket, and where it is refused a question every few seconds ---

const live = { after: 0, detections: () => {}, fleet: () => {}, columns: () => {}, scores: () => {}, trouble: () => {}, polling: null, tries: 0 };

function take(message) {
  if (message.recent?.length) {
    live.after = message.recent.at(-1).number;
    live.detections(message.recent);
  }
  if (message.fleet !== undefined) live.fleet();
  if (message.scores) live.scores(message.scores);
  if (message.trouble !== undefined) live.trouble(message.trouble);
  if (message.broker) live.broker = message.broker;
  const shown = document.getElementById("connection");
  const up = live.broker?.detections && live.broker?.state;
  shown.className = up ? "" : "bad";
  shown.textContent = !live.broker ? "connecting…" : !up ? "no connection to the broker: what is shown is old"
    : live.polling ? "live, asked every 5 s (the WebSocket is refused)" : "live";
}

function watch() {
  const watched = view === "live" ? { device: query.get("device"), source: query.get("source") } : {};
  const target = new URL(`api/live${address({ after: live.after, ...watched })}`, location.href);
  target.protocol = target.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(target);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => live.trouble("");
  socket.onmessage = (event) => {
    clearInterval(live.polling);
    live.polling = null;
    live.tries = 0;
    if (typeof event.data === "string") take(JSON.parse(event.data));
    else live.columns(event.data);
  };
  socket.onclose = () => {
    live.trouble("the WebSocket is closed: no columns come; it is tried again");
    if (live.polling === null) {
      live.polling = setInterval(poll, POLL_MS);
      poll();
    }
    live.tries += 1;
    setTimeout(watch, Math.min(60_000, 1000 * 2 ** live.tries));
  };
}

async function poll() {
  try {
    take({ fleet: 0, ...await ask(`api/recent?after=${live.after}`) });
  } catch {
    const shown = document.getElementById("connection");
    shown.className = "bad";
    shown.textContent = "the dashboard does not answer: what is shown is old";
  }
}

// --- devices ---

async function devices() {
  const wanted = { q: query.get("q") ?? "", trouble: query.get("trouble") === "yes" };
  const heads = ["Device", "Source", "State", "Since", "Lost"];
  const place = node("div"), summary = node("p", { class: "summary" }), missing = node("div");
  const recentHeads = ["Time", "Sound", "Score", "Source"];
  const list = node("tbody");
  const recent = node("div", { class: "scroll" }, node("table", {},
    node("caption", {}, "Sounds as they come"),
    node("thead", {}, node("tr", {}, ...recentHeads.map((head) => node("th", { scope: "col" }, head)))), list));
  const form = node("form", { role: "search" },
    node("label", {}, "Name", node("input", { name: "q", value: wanted.q, type: "search" })),
    node("label", {}, "Only with trouble", node("input", { name: "trouble", type: "checkbox", value: "yes", checked: wanted.trouble })),
    node("input", { type: "hidden", name: "view", value: "devices" }),
    node("button", {}, "Show"));
  main.replaceChildren(node("h1", {}, "Devices"), summary, form, place, missing, node("h2", {}, "Now"), recent);

  async function show() {
    const fleet = await ask("api/fleet");
    const all = fleet.devices.flatMap((device) => device.sources.length
      ? device.sources.map((source) => ({ device, source })) : [{ device, source: null }]);
    const trouble = ({ device, source }) => device.online === false || (source !== null && TROUBLE.has(source.state));
    const chosen = all
      .filter((item) => `${item.device.name} ${item.source?.name ?? ""}`.includes(wanted.q) && (!wanted.trouble || trouble(item)))
      .sort((a, b) => trouble(b) - trouble(a));
    const online = fleet.devices.filter((device) => device.online).length;
    const bad = all.filter(trouble).length;
    summary.textContent = fleet.devices.length === 0
      ? "No agent has published anything under this base topic yet. On a device: edgeaudio run"
      : `${online} of ${fleet.devices.length} devices online, ${all.filter((item) => item.source).length} sources, ${bad} with trouble`
        + (fleet.waiting ? `; ${fleet.waiting} detections wait for the database` : "")
        + (fleet.left_out ? "; some devices are left out: there are too many" : "");
    place.replaceChildren(table("Sources, those with trouble first", heads, chosen.slice(0, MAX_ROWS).map(sourceRow)));
    if (chosen.length > MAX_ROWS) place.append(node("p", { class: "note" }, `${chosen.length - MAX_ROWS} more: narrow the list by name.`));
    const gaps = fleet.devices.filter((device) => device.missing > 0);
    missing.replaceChildren(...(gaps.length ? [node("h2", {}, "Missing detections"), node("ul", {}, ...gaps.map(gapItem))] : []));
  }

  function sourceRow({ device, source }) {
    const name = device.online === false ? node("span", {}, device.name, node("span", { class: "advice bad" }, "offline")) : device.name;
    if (source === null) return row(heads, [name, "", "no source yet", "", ""]);
    const level = source.state === "listening" ? "good" : ["off", "ended"].includes(source.state) ? "" : source.state === "connecting" ? "warn" : "bad";
    const state = node("span", {}, node("span", { class: level }, source.state), source.reason ? ` (${source.reason.replaceAll("_", " ")})` : "",
      source.detail ? node("span", { class: "advice" }, source.detail) : "",
      // many details end in what to do already, behind a semicolon, and know more
      source.advice && !source.detail.includes("; ") ? node("span", { class: "advice" }, source.advice) : "");
    const links = node("span", {}, node("a", { href: address({ view: "history", device: device.name, source: source.name }) }, source.name),
      " ", node("a", { class: "aside", href: address({ view: "live", device: device.name, source: source.name }), "aria-label": `${source.name} live` }, "live"));
    return row(heads, [name, links, state, ago(source.since), seconds(source.lost_s)]);
  }

  function gapItem(device) {
    const gaps = device.gaps.slice(-5).map((gap) => gap.first === gap.last ? `${gap.first}` : `${gap.first} to ${gap.last}`);
    return node("li", {}, `${device.name}: ${device.missing} did not arrive${gaps.length ? `, the latest: ${gaps.join(", ")}` : ""}`);
  }

  let due = false, busy = false;
  async function refresh() {
    if (busy) { due = true; return; }
    busy = true;
    try { await show(); } catch (error) { summary.textContent = error.message; }
    setTimeout(() => { busy = false; if (due) { due = false; refresh(); } }, 1000);
  }

  live.fleet = refresh;
  live.detections = (recents) => {
    for (const item of recents.filter((one) => one.kind === "onset")) {
      const link = node("a", { href: address({ view: "event", device: item.device, source: item.source, id: item.id }) }, item.label);
      list.prepend(row(recentHeads, [time(item.at), node("span", {}, link, item.test ? " (test)" : ""), item.score.toFixed(2), `${item.device}: ${item.source}`], { class: "new" }));
    }
    while (list.children.length > 50) list.lastChild.remove();
  };
  await show();
}

// --- history ---

const FILTERS = ["device", "source", "label", "min_score", "from", "until"];

function localInput(ms) {
  const at = new Date(Number(ms));
  if (!ms || isNaN(at)) return "";  // an address can hold anything: the answer to the search says what is wrong
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

async function history() {
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

async function chart(filter) {
  const until = Number(filter.until) || Date.now();
  const from = Math.max(Number(filter.from) || until - 86_400_000, until - 7 * 86_400_000);
  // from a full hour of the viewer's zone on; from there hours are counted, so that days of 23 and 25 come out right
  const start = new Date(from);
  start.setMinutes(0, 0, 0);
  const { counts } = await ask(`api/counts${address({ ...filter, from: start.getTime(), until: Math.ceil(until) })}`);
  const hours = new Map();
  for (let at = start.getTime(); at < until; at += 3_600_000) hours.set(at, 0);
  for (const [at, labels] of counts) {
    const hourStart = start.getTime() + Math.floor((at - start.getTime()) / 3_600_000) * 3_600_000;
    if (hours.has(hourStart)) hours.set(hourStart, hours.get(hourStart) + Object.values(labels).reduce((a, b) => a + b, 0));
  }
  const total = [...hours.values()].reduce((a, b) => a + b, 0), most = Math.max(1, ...hours.values());
  const text = `${total} sounds${filter.min_score ? " of any score" : ""} by the hour, ${hour.format(start)} to ${hour.format(until)}, ${zone}; the most in an hour: ${most === 1 && !total ? 0 : most}`;
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  for (const [key, value] of Object.entries({ class: "chart", role: "img", "aria-label": text, viewBox: `0 0 ${hours.size} 100`, preserveAspectRatio: "none" })) drawing.setAttribute(key, value);
  [...hours].forEach(([at, count], index) => {
    const bar = document.createElementNS(space, "rect"), title = document.createElementNS(space, "title");
    const height = count / most * 95;
    for (const [key, value] of Object.entries({ x: index + 0.1, y: 100 - height, width: 0.8, height })) bar.setAttribute(key, value);
    title.textContent = `${hour.format(at)}: ${count}`;
    bar.append(title);
    drawing.append(bar);
  });
  return node("figure", {}, drawing, node("figcaption", { class: "note" }, text));
}

// --- one source, live ---

async function watchSource() {
  const [device, source] = [query.get("device") ?? "", query.get("source") ?? ""];
  const { devices: known } = await ask("api/fleet");
  if (!device || !source) {
    const links = known.flatMap((each) => each.sources.map(({ name }) =>
      node("li", {}, node("a", { href: address({ view: "live", device: each.name, source: name }) }, `${each.name}: ${name}`))));
    main.replaceChildren(node("h1", {}, "Live"), links.length ? node("ul", {}, ...links.slice(0, MAX_ROWS)) : node("p", {}, "No source is known yet."),
      links.length > MAX_ROWS ? node("p", { class: "note" }, "There are more: the devices can be filtered, and lead here.") : "");
    return;
  }
  const canvas = node("canvas", { class: "live", role: "img", "aria-label": `Spectrogram of ${source} on ${device}` });
  const scores = node("tbody"), state = node("p", { class: "summary", id: "state", role: "status" }), said = node("p", { id: "said", "aria-live": "polite" });
  const pause = node("button", { "aria-pressed": "false" }, "Pause");
  main.replaceChildren(node("h1", {}, `${source} on ${device}, live`), state, canvas, said,
    node("p", { class: "note" }, "Lines mark what was detected, at its own time. Below, each label's scores; an outline is a detection. Grey: no sound came."),
    pause, node("table", { class: "scores" }, node("caption", {}, "Scores over 0.05 of the latest clip"),
      node("thead", {}, node("tr", {}, ...["Sound", "", "Score", ""].map((head) => node("th", { scope: "col" }, head)))), scores),
    node("p", {}, node("a", { href: address({ view: "history", device, source }) }, "History of this source")));
  const shown = new LiveView({ canvas, scores, state, said }, device, source);
  pause.addEventListener("click", () => {
    shown.pause(!shown.paused);
    pause.setAttribute("aria-pressed", shown.paused);
  });
  live.columns = (buffer) => shown.takeColumns(buffer);
  live.scores = (clips) => shown.takeScores(clips);
  live.detections = (recents) => shown.takeDetections(recents);
  live.trouble = (text) => { shown.trouble = text; shown.tick(); };
  live.fleet = async () => {
    const fleet = await ask("api/fleet").catch(() => null);
    const found = fleet?.devices.find((each) => each.name === device), one = found?.sources.find((each) => each.name === source);
    shown.about = fleet === null ? "" : !one ? "no such source is known" : found.online === false ? "the device is offline"
      : one.state === "listening" ? "" : [`the source is ${one.state}`, one.detail, one.advice].filter(Boolean).join("; ");
    shown.tick();
  };
}

// --- one event ---

async function event() {
  const [device, source, id] = ["device", "source", "id"].map((key) => query.get(key) ?? "");
  const found = await ask(`api/events/${[device, source, id].map(encodeURIComponent).join("/")}`);
  const error = (s) => s === null ? "" : ` ± ${s.toFixed(2)} s`;
  const entries = [
    ["Sound", found.label + (found.test ? " (test)" : "")], ["Score", found.score.toFixed(4)],
    ["Began", node("span", {}, time(found.begin), error(found.begin_error_s), found.onset_lost ? " (its onset was lost)" : "")],
    ["Ended", found.end === null ? "not yet, or its offset was lost" : node("span", {}, time(found.end), error(found.end_error_s))],
    ["Lasted", seconds(found.duration_s)], ["Device", found.device],
    ["Source", node("a", { href: address({ view: "history", device: found.device, source: found.source }) }, found.source)],
    ["Model", found.model], ["Id", found.id]];
  main.replaceChildren(node("h1", {}, found.label),
    node("dl", {}, ...entries.flatMap(([name, value]) => [node("dt", {}, name), node("dd", {}, value)])));
}

const views = { devices, history, event, live: watchSource };
const view = Object.hasOwn(views, query.get("view") ?? "") ? query.get("view") : "devices";
document.getElementById("zone").textContent = zone;
for (const link of document.querySelectorAll("nav a")) if (link.search === `?view=${view}`) link.setAttribute("aria-current", "page");
views[view]().catch(report).finally(watch);
