// The view of one event.

import { answers, snoozeButton } from "./command.js";
import { live } from "./connection.js";
import { address, ask, main, node, query, seconds, time } from "./dom.js";
import { reviewOf } from "./event_review.js";
import { may } from "./me.js";
import { eventMedia } from "./player.js";

export async function event() {
  const [device, source, id] = ["device", "source", "id"].map((key) => query.get(key) ?? "");
  const ask_event = () => ask(`api/events/${[device, source, id].map(encodeURIComponent).join("/")}`);
  const [found, listens] = await Promise.all([ask_event(), may("reader")]);
  const error = (s) => s === null ? "" : ` ±\u00a0${s.toFixed(2)}\u00a0s`;
  const details = node("dl");
  function tell() {
    const members = Object.entries(found.members); // of a fused model
    const entries = [
      ["Sound", found.label + (found.test ? " (test)" : "")], ["Score", found.score.toFixed(4)],
      ...(members.length ? [["Score of each model", members.map(([name, score]) => `${name} ${score.toFixed(4)}`).join(", ")]] : []),
      ["Began", node("span", {}, time(found.begin), error(found.begin_error_s), found.onset_lost ? " (its onset was lost)" : "")],
      ["Ended", found.end === null ? "not yet, or its offset was lost" : node("span", {}, time(found.end), error(found.end_error_s))],
      ...(found.end === null ? [] : [["Lasted", seconds(found.duration_s)]]), ["Device", found.device],
      ["Source", node("a", { href: address({ view: "history", device: found.device, source: found.source }) }, found.source)],
      ["Model", found.model], ...(found.model_sha256 ? [["Model's file", node("span", {}, "SHA-256 ", node("code", {}, found.model_sha256))]] : []), ["Id", found.id]];
    details.replaceChildren(...entries.flatMap(([name, value]) => [node("dt", {}, name), node("dd", {}, value)]));
  }
  const sound = node("div"), columns = node("div");
  function showMedia() {
    sound.replaceChildren(listens ? eventMedia(found) : "");
    columns.className = listens && (found.media.clip || found.media.picture) ? "columns event" : "";
  }
  const isThis = (item) => item.device === device && item.source === source && item.id === id;
  live.media = async (items) => { // a clip comes some seconds after its event
    if (!listens || !items.some((item) => isThis(item) && !found.media[item.kind])) return;
    Object.assign(found, await ask_event().catch(() => found));
    tell();
    showMedia();
  };
  live.detections = async (recents) => {
    if (found.end !== null || !recents.some((item) => isThis(item) && item.kind === "offset")) return;
    const { media, ...now } = await ask_event().catch(() => found); // its clip comes by `live.media`
    Object.assign(found, now);
    tell();
  };
  const said = answers(), isOwner = await may("owner");
  tell();
  showMedia();
  columns.append(sound, node("div", {}, ...await reviewOf(found, query.get("list")), details,
    node("p", {}, isOwner ? snoozeButton(found, said) : "", " ", node("a", { "data-needs": "reader", href: address({ view: "source", device: found.device, source: found.source }) }, "Settings of this source"))));
  main.replaceChildren(node("h1", {}, found.label), said, columns);
}
