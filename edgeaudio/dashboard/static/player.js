// The clip and the picture of one event: a player whose place is shown in the picture, gain, a high-pass filter, downloads.
// Owns: the controls. Does not know: the rest of the event (event.js), what the sound goes through (audio_chain.js).

import { MAX_GAIN_DB, MIN_GAIN_DB, audioChain } from "./audio_chain.js";
import { node } from "./dom.js";
import { load, mediaAddress } from "./listen.js";

const HIGH_PASS_HZ = [0, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const SOON_MS = 60_000; // a clip may still come
const STATES = {
  original: "",
  copy: "This browser cannot play the original: a copy as WAV is played.",
  none: "This clip cannot be played: it is damaged, or too long for a copy. It can be downloaded.",
};

const NAMES = { "audio/ogg": "Opus", "audio/flac": "FLAC", "audio/wav": "WAV" };

function size(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function download(event, kind, text, options = "?download") {
  return node("a", { href: mediaAddress(event, kind, options), download: true }, text);
}

// Returns the element with all that is kept of an event; `found` is the event as `/api/events/…` has it.
export function eventMedia(found) {
  const { clip, picture } = found.media;
  const place = node("section", { class: "player", "aria-label": "Sound" });
  if (!clip && !picture) {
    place.append(node("p", { class: "note" }, !found.keeps_media ? "Clips are switched off on this dashboard (dashboard.clips_max_mb is 0)."
      : found.test ? "A test has no clip."
      : Math.abs(Date.now() - (found.end ?? found.begin)) < SOON_MS ? "A clip, if the device sends any, appears here some seconds after the sound."
      : "No clip of this sound came. On the device, set enabled = true and publish = [\"clip\", \"image\"] in [clips]; a new sound then has one some seconds after its end."));
    return place;
  }
  const audio = clip ? node("audio", { controls: true, preload: "metadata", "aria-label": `Clip of ${found.label}` }) : null;
  if (picture) place.append(drawing(found, picture, audio));
  if (clip) place.append(audio, ...controls(found, clip, audio));
  else place.append(node("p", { class: "note" }, "Only the picture came: publish has no \"clip\" on the device."));
  place.append(node("p", { class: "downloads" },
    ...(clip ? [download(found, "clip", `Download the sound (${NAMES[clip.type]}, ${size(clip.bytes)})`)] : []),
    ...(clip && clip.type !== "audio/wav" ? [download(found, "clip", "as WAV", "?format=wav&download")] : []),
    ...(picture ? [download(found, "picture", `Download the picture (${size(picture.bytes)})`)] : [])));
  return place;
}

// The picture with a line where the player is; a click moves the player there. Without a `plot` there is no line: the
// picture has gaps, which the sound leaves out, or an older agent sent it.
function drawing(found, picture, audio) {
  const image = node("img", { src: mediaAddress(found, "picture"), alt: `Spectrogram of ${found.label} on ${found.source}: frequency over time, the sound marked` });
  const head = node("span", { class: "playhead", "aria-hidden": "true", hidden: true });
  const figure = node("figure", { class: "picture" }, image, head);
  if (audio === null || picture.plot === null) return figure;
  const [left, right] = picture.plot;
  const follow = () => {
    const share = Number.isFinite(audio.duration) && audio.duration > 0 ? audio.currentTime / audio.duration : null;
    head.hidden = share === null;
    if (share !== null) head.style.left = `${100 * (left + share * (right - left))}%`;
  };
  const step = () => {
    follow();
    if (!audio.paused) requestAnimationFrame(step);
  };
  for (const name of ["durationchange", "seeked", "timeupdate", "pause"]) audio.addEventListener(name, follow);
  audio.addEventListener("play", step);
  figure.classList.add("seeks");
  image.addEventListener("click", (event) => {
    if (!Number.isFinite(audio.duration)) return;
    const share = (event.offsetX / image.clientWidth - left) / (right - left);
    audio.currentTime = Math.min(Math.max(share, 0), 1) * audio.duration;
    follow();
  });
  return figure;
}

function controls(found, clip, audio) {
  const state = node("p", { class: "note", role: "status" });
  load(audio, found, clip.type, (now) => { state.textContent = STATES[now]; });
  const gain = node("input", { type: "range", min: MIN_GAIN_DB, max: MAX_GAIN_DB, step: 1, value: 0 });
  const shown = node("output", {}, "0 dB");
  const highpass = node("select", {}, ...HIGH_PASS_HZ.map((hz) => node("option", { value: hz }, hz === 0 ? "off" : hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`)));
  const reset = node("button", { type: "button" }, "As recorded");
  let chain = null; // made at the first change, for until then the browser plays the file without any of this
  function change() {
    const gain_db = Number(gain.value), text = `${gain_db > 0 ? "+" : ""}${gain_db} dB`;
    shown.textContent = text;
    gain.setAttribute("aria-valuetext", text);
    if (chain === null) {
      const context = new AudioContext();
      chain = { context, ...audioChain(context) };
      context.createMediaElementSource(audio).connect(chain.input);
      chain.output.connect(context.destination);
    }
    chain.context.resume();
    chain.set(gain_db, Number(highpass.value));
  }
  gain.addEventListener("input", change);
  highpass.addEventListener("change", change);
  reset.addEventListener("click", () => {
    gain.value = 0;
    highpass.value = 0;
    if (chain !== null) change();
    shown.textContent = "0 dB";
  });
  audio.addEventListener("play", () => chain?.context.resume());
  return [state, node("fieldset", { class: "playback" }, node("legend", {}, "At playback; the file stays as it is"),
    node("label", {}, "Gain", node("span", {}, gain, shown)), node("label", {}, "High-pass", highpass), reset)];
}
