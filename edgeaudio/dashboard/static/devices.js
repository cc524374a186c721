// The view of all devices and sources, and of sounds as they come.

import { live } from "./connection.js";
import { MAX_ROWS, address, ago, ask, head, main, node, query, recentTime, row, seconds, table, updateRows } from "./dom.js";
import { mediaMarks } from "./listen.js";
import { may } from "./me.js";

const TROUBLE = new Set(["connecting", "stalled", "waiting", "failed", "quarantined", "silent", "clipping", "hum", "unknown"]);

const MAX_RECENT = 50; // rows of sounds as they come
const MAX_FLASHES = 3; // sounds at once that are drawn attention to; more follow each other, and each costs a repaint a frame

export async function devices() {
  const wanted = { q: query.get("q") ?? "", trouble: query.get("trouble") === "yes" };
  const heads = ["Device", "Source", "State", "Since", "Sound lost"];
  const sources = table("Sources, those with trouble first", heads, []), body = sources.querySelector("tbody");
  const summary = node("p", { class: "summary" }), more = node("p", { class: "note" }), shards = node("div"), missing = node("div");
  const recentHeads = ["Time", "Sound", "Score", "Source"];
  const list = node("tbody");
  const recent = node("div", { class: "scroll" }, node("table", {},
    node("caption", {}, "Sounds as they come"),
    head(recentHeads), list));
  const form = node("form", { role: "search" },
    node("label", {}, "Name", node("input", { name: "q", value: wanted.q, type: "search" })),
    node("label", { class: "check" }, node("input", { name: "trouble", type: "checkbox", value: "yes", checked: wanted.trouble }), "Only with trouble"),
    node("input", { type: "hidden", name: "view", value: "devices" }),
    node("button", {}, "Show"));
  main.replaceChildren(node("h1", {}, "Devices"), summary, node("div", { class: "columns" },
    node("div", {}, form, sources, more, shards, missing), node("section", { "aria-labelledby": "now" }, node("h2", { id: "now" }, "Now"), recent)));

  async function show() {
    const fleet = await ask("api/fleet");
    const all = fleet.devices.flatMap((device) => device.sources.length
      ? device.sources.map((source) => ({ device, source })) : [{ device, source: null }]);
    const trouble = ({ device, source }) => source === null ? device.online === false : source.offline || TROUBLE.has(source.state);
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
    updateRows(body, chosen.slice(0, MAX_ROWS).map(sourceRow));
    more.textContent = chosen.length > MAX_ROWS ? `${chosen.length - MAX_ROWS} more: narrow the list by name.` : "";
    const centres = fleet.devices.filter((device) => device.shards.length > 0);
    shards.replaceChildren(...(centres.length ? [node("h2", {}, "Shards"), node("ul", {}, ...centres.map(centreItem))] : []));
    const gaps = fleet.devices.filter((device) => device.missing > 0);
    missing.replaceChildren(...(gaps.length ? [node("h2", {}, "Missing detections"), node("ul", {}, ...gaps.map(gapItem))] : []));
  }

  function sourceRow({ device, source }) {
    const isOffline = source === null ? device.online === false : source.offline;
    const which = source !== null && source.shard !== null ? `shard ${source.shard}` : "";
    const about = [which, isOffline ? "offline" : ""].filter(Boolean).join(" ");
    const name = about ? node("span", {}, device.name, node("span", { class: isOffline ? "advice bad" : "advice" }, about)) : device.name;
    if (source === null) return row(heads, [name, "", "no source yet", "", ""]);
    const level = source.state === "listening" ? "good" : ["off", "ended"].includes(source.state) ? "" : source.state === "connecting" ? "warn" : "bad";
    const state = node("span", {}, node("span", { class: `state ${level}` }, source.state), source.reason ? ` (${source.reason.replaceAll("_", " ")})` : "",
      source.detail ? node("span", { class: "advice" }, source.detail) : "",
      source.snoozed ? node("span", { class: "advice" }, `${source.snoozed} ${source.snoozed === 1 ? "label is" : "labels are"} snoozed; ${source.withheld === 1 ? "1 sound was" : `${source.withheld} sounds were`} withheld`) : "",
      source.raised_count ? node("span", { class: "advice" }, `${source.raised_count === 1 ? "the threshold of 1 label has" : `the thresholds of ${source.raised_count} labels have`} risen`) : "",
      // many details end in what to do already, behind a semicolon, and know more
      source.advice && !source.detail.includes("; ") ? node("span", { class: "advice" }, source.advice) : "");
    const links = node("span", {}, node("a", { href: address({ view: "history", device: device.name, source: source.name }) }, source.name),
      " ", node("a", { class: "aside", "data-needs": "reader", href: address({ view: "live", device: device.name, source: source.name }), "aria-label": `${source.name} live` }, "live"),
      " ", node("a", { class: "aside", "data-needs": "reader", href: address({ view: "source", device: device.name, source: source.name }), "aria-label": `${source.name} settings` }, "settings"));
    return row(heads, [name, links, state, ago(source.since), seconds(source.lost_s)]);
  }

  function centreItem(device) {
    const off = device.shards.filter((shard) => shard.online === false);
    const each = (shard) => [`shard ${shard.index} is offline${shard.offline_since ? `, ${ago(shard.offline_since)}` : ""}`,
      shard.outbox ? `${shard.outbox} detections wait in it` : ""].filter(Boolean).join("; ");
    const trouble = device.shards.filter((shard) => shard.online !== false && shard.outbox_trouble).map((shard) => `shard ${shard.index}: ${shard.outbox_trouble}`);
    return node("li", {}, [`${device.name}: ${device.shards.length - off.length} of ${device.shards.length} shards online`, ...off.map(each), ...trouble].join("; "));
  }

  function gapItem(device) {
    const gaps = device.gaps.slice(-5).map((gap) => (gap.shard === null ? "" : `shard ${gap.shard}: `)
      + (gap.first === gap.last ? `${gap.first}` : `${gap.first} to ${gap.last}`));
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
  const marks = new Map(); // of the sounds in the list: what is known of their clips, and where that is shown
  const keyOf = (item) => [item.device, item.source, item.id].join("/");
  const listens = may("reader");
  live.media = async (items) => {
    if (!await listens) return;
    for (const item of items) {
      const mark = marks.get(keyOf(item));
      if (mark === undefined || mark.media[item.kind]) continue;
      mark.media[item.kind] = { type: item.type };
      mark.place.replaceChildren(mediaMarks(item, mark.media, mark.text));
    }
  };
  live.detections = (recents, isNew) => {
    const onsets = recents.filter((one) => one.kind === "onset").slice(-MAX_RECENT);
    const flashes = isNew && onsets.length <= MAX_FLASHES;
    for (const item of onsets) {
      const link = node("a", { href: address({ view: "event", device: item.device, source: item.source, id: item.id }) }, item.label);
      const place = node("span");
      marks.set(keyOf(item), { media: {}, place, text: `${item.label}, ${item.device}: ${item.source}` });
      if (marks.size > 100) marks.delete(marks.keys().next().value);
      list.prepend(row(recentHeads, [recentTime(item.at), node("span", {}, link, item.test ? " (test)" : "", place), item.score.toFixed(2), `${item.device}: ${item.source}`], { class: flashes ? "new" : null }));
    }
    while (list.children.length > MAX_RECENT) list.lastChild.remove();
  };
  await show();
}
