// Clips and pictures: their addresses, whether this browser can play one, and buttons that play one in a list.
// Owns: the one clip that plays in a list. Does not know: the player of an event (player.js).

import { node } from "./dom.js";

const CODECS = { "audio/ogg": "audio/ogg; codecs=opus", "audio/flac": "audio/flac", "audio/wav": "audio/wav" };

export function mediaAddress(event, kind, options = "") {
  return `api/events/${[event.device, event.source, event.id].map(encodeURIComponent).join("/")}/${kind}${options}`;
}

export function canPlay(type) {
  return document.createElement("audio").canPlayType(CODECS[type] ?? type) !== "";
}

// Has an audio element play a clip, and its copy as WAV where the original cannot be played. `changed` is called with
// "original", "copy", or "none": neither can be played.
export function load(audio, event, type, changed = () => {}) {
  let state = canPlay(type) ? "original" : "copy";
  function take() {
    audio.src = mediaAddress(event, "clip", state === "copy" ? "?format=wav" : "");
    changed(state);
  }
  audio.onerror = () => {
    if (state !== "original") { changed("none"); return; }
    const wasWanted = !audio.paused || audio.dataset.wanted === "yes";
    state = "copy";
    take();
    if (wasWanted) audio.play().catch(() => {});
  };
  take();
}

const audio = new Audio();
let playing = null; // the button of what plays

function show(button, text, isPlaying) {
  button.textContent = isPlaying ? "■" : "▶";
  button.setAttribute("aria-label", `${isPlaying ? "Stop" : "Play"} ${text}`);
}

function stop() {
  const button = playing;
  playing = null;
  audio.dataset.wanted = "no";
  audio.pause();
  if (button !== null) show(button, button.dataset.text, false);
}

audio.addEventListener("ended", stop);

// A button that plays the clip of an event; `text` names it for whoever does not see where it stands.
export function playButton(event, type, text) {
  const button = node("button", { type: "button", class: "play", "data-text": text });
  show(button, text, false);
  button.addEventListener("click", () => {
    const again = playing === button;
    stop();
    if (again) return;
    playing = button;
    show(button, text, true);
    audio.dataset.wanted = "yes";
    load(audio, event, type, (state) => {
      if (state !== "none" || playing !== button) return;
      stop();
      button.replaceWith(node("span", { class: "note", role: "status" }, "cannot be played"));
    });
    audio.play().catch(() => {}); // an error is the element's, see `load`
  });
  return button;
}

// What a row of a list shows of an event's media: {clip: {type}, picture: {type}}, each if there is one.
export function mediaMarks(event, media, text) {
  return node("span", { class: "media" },
    media.clip ? playButton(event, media.clip.type, text) : "",
    media.picture && !media.clip ? node("span", { class: "note" }, "picture") : "");
}
