// The button by which a source is listened to, its volume, and words on what comes. Owns: the WebSocket of sound, which is
// open only while somebody listens. Does not know: how a message is decoded (live_player.js).

import { address, node } from "./dom.js";
import { may } from "./me.js";
import { Player } from "./live_player.js";

const QUIET_MS = 8000; // without sound, until that is said
const TELL_MS = 1000;
const FORBIDDEN = [1008, 4401], TOO_MANY = 1013; // closing codes
const FLOOR_DB = -60; // of the meter

class Listening {
  constructor(device, source, parts) {
    Object.assign(this, parts, { device, source, trouble: "", came_ms: Date.now(), behind_ms: null, is_judged: false, heard_s: 0, tries: 0, closed: false });
    this.context = new AudioContext({ sampleRate: 48_000 });
    this.gain = new GainNode(this.context);
    this.gain.connect(this.context.destination);
    this.setVolume();
    this.player = new Player(this.context, this.gain, (message) => this.noteHeard(message));
    this.context.resume();
    this.timer = setInterval(() => this.tell(), TELL_MS);
    this.open();
    this.tell();
  }

  open() {
    const target = new URL(`api/listen${address({ device: this.device, source: this.source })}`, location.href);
    target.protocol = target.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(target);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => {
      this.tries = 0;
      if (typeof data === "string") this.trouble = JSON.parse(data).trouble;
      else this.player.take(data).catch(() => { this.trouble = "this browser cannot decode Opus: use another, or a newer one"; }).finally(() => this.tell());
      this.tell();
    };
    this.socket.onclose = ({ code }) => {
      if (this.closed) return;
      this.trouble = FORBIDDEN.includes(code) ? "this needs a login that may listen"
        : code === TOO_MANY ? "too many listen to this dashboard: it is tried again" : "the WebSocket is closed: no sound comes; it is tried again";
      this.tell();
      this.tries += 1;
      if (!FORBIDDEN.includes(code)) this.again = setTimeout(() => this.open(), Math.min(60_000, 1000 * 2 ** this.tries));
    };
  }

  noteHeard({ at_ms, is_judged, peak, seconds, waits_s }) {
    this.trouble = "";
    this.came_ms = Date.now();
    this.is_judged = is_judged;
    this.behind_ms = Date.now() - at_ms + 1000 * waits_s;
    this.heard_s += seconds;
    this.meter.value = peak > 0 ? Math.max(0, 20 * Math.log10(peak) - FLOOR_DB) : 0;
    this.meter.dataset.seconds = this.heard_s.toFixed(2);
  }

  setVolume() {
    this.gain.gain.value = (this.volume.value / 100) ** 2;
  }

  tell() {
    const quiet = Date.now() - this.came_ms > QUIET_MS, behind_s = Math.round(this.behind_ms / 1000);
    if (quiet || this.trouble) this.meter.value = 0;
    const text = this.trouble ? this.trouble
      : this.context.state === "suspended" ? "the browser does not play yet: press Stop listening, and Listen again"
      : quiet ? "no sound comes: the source is silent or away, or its sound is withheld because it holds what may not be heard"
      : this.behind_ms === null ? "waiting for the sound; it may come some seconds late"
      : Math.abs(behind_s) > 3600 ? "playing; the clocks of the device and of this browser differ"
      : this.is_judged ? `playing, about ${behind_s} s late: only sound is sent that was judged before, and may be heard`
      : `playing, about ${behind_s} s late`;
    if (this.state.textContent !== text) this.state.textContent = text;
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    clearTimeout(this.again);
    this.socket.close();
    this.context.close();
    this.meter.value = 0;
    this.state.textContent = "";
  }
}

// Returns the element, which is empty for those who may not listen.
export function listenControl(device, source) {
  const button = node("button", {}, "Listen");
  const volume = node("input", { type: "range", min: "0", max: "100", value: "100", "aria-label": "Volume" });
  const meter = node("meter", { min: "0", max: String(-FLOOR_DB), value: "0", "aria-label": "Level of the sound" });
  const state = node("span", { id: "sound", role: "status" });
  const box = node("div", { class: "listen", role: "group", "aria-label": "Sound" });
  let listening = null;
  button.addEventListener("click", () => {
    listening = listening === null ? new Listening(device, source, { volume, meter, state }) : listening.close() ?? null;
    button.textContent = listening ? "Stop listening" : "Listen";
  });
  volume.addEventListener("input", () => listening?.setVolume());
  may("reader").then((allowed) => { if (allowed) box.append(button, node("label", {}, "Volume", volume), meter, state); });
  return box;
}
