// What comes by itself: a WebSocket, and where it is refused a question every few seconds.
// Owns: the line that says how the page is connected. Views set the functions of `live` that they need.

import { address, ask } from "./dom.js";

const POLL_MS = 5000;

export const live = { after: 0, detections: () => {}, fleet: () => {}, media: () => {}, columns: () => {}, scores: () => {}, trouble: () => {}, polling: null, tries: 0, isBegun: false };

function take(message) {
  if (message.recent?.length) {
    live.after = message.recent.at(-1).number;
    live.detections(message.recent, live.isBegun); // what the page finds at its beginning is not new
  }
  if (message.media) live.media(message.media);
  if (message.fleet !== undefined) live.fleet();
  if (message.scores) live.scores(message.scores);
  if (message.trouble !== undefined) live.trouble(message.trouble);
  if (message.broker) live.broker = message.broker;
  live.isBegun = true;
  const shown = document.getElementById("connection");
  const up = live.broker?.detections && live.broker?.state;
  shown.className = up ? "" : "bad";
  shown.textContent = !live.broker ? "connecting…" : !up ? "no connection to the broker: what is shown is old"
    : live.polling ? "live, asked every 5 s (the WebSocket is refused)" : "live";
}

// `watched`: device and source whose columns and scores come too; {}: none.
export function watch(watched) {
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
    setTimeout(() => watch(watched), Math.min(60_000, 1000 * 2 ** live.tries));
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
