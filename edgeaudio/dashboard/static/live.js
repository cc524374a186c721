// The view of one source, live.

import { live } from "./connection.js";
import { MAX_ROWS, address, ask, main, node, query } from "./dom.js";
import { listenControl } from "./live_sound.js";
import { missedForm } from "./missed.js";
import { Spectrogram } from "./spectrogram.js";

export async function watchSource() {
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
  main.replaceChildren(node("h1", {}, `${source} on ${device}, live`), state,
    node("div", { class: "bar" }, pause, listenControl(device, source)), canvas, said,
    node("p", { class: "note" }, "Lines mark what was detected, at its own time. Below, each label's scores; an outline is a detection. Grey: no sound came."),
    node("table", { class: "scores" }, node("caption", {}, "Scores over 0.05 of the latest clip"),
      node("thead", {}, node("tr", {}, ...["Sound", "Level", "Score", "Detected"].map((head) => node("th", { scope: "col" }, head)))), scores),
    node("p", {}, node("a", { href: address({ view: "history", device, source }) }, "History of this source"), " · ",
      node("a", { href: address({ view: "source", device, source }) }, "Settings of this source")));
  const shown = new Spectrogram({ canvas, scores, state, said }, device, source);
  function hold(paused) {
    shown.pause(paused);
    pause.setAttribute("aria-pressed", shown.paused);
  }
  pause.addEventListener("click", () => hold(!shown.paused));
  said.after(...await missedForm(shown, hold, device, source));
  live.columns = (buffer) => shown.takeColumns(buffer);
  live.scores = (clips) => shown.takeScores(clips);
  live.detections = (recents) => shown.takeDetections(recents);
  live.trouble = (text) => { shown.trouble = text; shown.tick(); };
  live.fleet = async () => {
    const fleet = await ask("api/fleet").catch(() => null);
    const found = fleet?.devices.find((each) => each.name === device), one = found?.sources.find((each) => each.name === source);
    shown.about = fleet === null ? "" : !one ? "no such source is known" : one.offline ? one.shard === null ? "the device is offline" : `shard ${one.shard} of the device is offline`
      : one.state === "listening" ? "" : [`the source is ${one.state}`, one.detail, one.advice].filter(Boolean).join("; ");
    shown.tick();
  };
}
