// The live view of one source: its spectrogram, what was detected, and what was just below. Owns: the layout of a packet
// (docs/mqtt.md), the ring of columns, and what is drawn. Does not know: the WebSocket, nor elements outside its own.

import { zone } from "./zone.js";

const WIDTH = 1500; // columns that are shown, 30 s
const LOW_DB = -105, HIGH_DB = -35; // of a band, from the darkest colour to the lightest
const ROWS = 5; // labels below the spectrogram
const SAY_MS = 5000; // between two texts for screen readers
const QUIET_MS = 6000; // without columns, until that is said
const MAX_KEPT = 500; // clips and detections
const COLOURS = [[0, 0, 4], [40, 17, 89], [114, 31, 129], [182, 54, 121], [241, 96, 93], [254, 176, 120], [252, 253, 191]];
const GAP = "#7d848c"; // no sound came: none of the colours above
const MARK = "#4fe3ff";
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", timeZone: zone });

export function decode(buffer) {
  const view = new DataView(buffer);
  const columns = view.getUint16(40, true), bands = view.getUint16(42, true);
  return {
    follows_gap: (view.getUint8(2) & 1) === 1, stream: view.getUint32(4, true), sequence: view.getUint32(8, true),
    at_ms: Number(view.getBigInt64(12, true)) / 1000, hop_ms: view.getFloat32(20, true) / 1000,
    low_hz: view.getFloat32(24, true), high_hz: view.getFloat32(28, true),
    floor_db: view.getFloat32(32, true), step_db: view.getFloat32(36, true),
    columns, bands, levels: new Uint8Array(buffer, 44, columns * bands),
  };
}

// Colour of each level, as the four bytes of a pixel.
function palette(floor_db, step_db) {
  const bytes = new Uint8ClampedArray(4 * 256);
  for (let level = 0; level < 256; level += 1) {
    const share = (floor_db + step_db * level - LOW_DB) / (HIGH_DB - LOW_DB);
    const place = Math.min(Math.max(share, 0), 1) * (COLOURS.length - 1), below = Math.min(Math.floor(place), COLOURS.length - 2);
    for (let part = 0; part < 3; part += 1) {
      bytes[4 * level + part] = COLOURS[below][part] + (place - below) * (COLOURS[below + 1][part] - COLOURS[below][part]);
    }
    bytes[4 * level + 3] = 255;
  }
  return new Uint32Array(bytes.buffer);
}

// The newest columns of a source. Columns are numbered from 0, gaps included; number n is at n modulo WIDTH.
export class Ring {
  constructor(packet) {
    this.form = Ring.formOf(packet);
    this.bands = packet.bands;
    this.high_hz = packet.high_hz;
    this.hop_ms = packet.hop_ms;
    this.head = 0; // the number of the next column
    this.head_ms = packet.at_ms;
    this.canvas = document.createElement("canvas");
    this.canvas.width = WIDTH;
    this.canvas.height = packet.bands;
    this.context = this.canvas.getContext("2d");
    this.palette = palette(packet.floor_db, packet.step_db);
    this.image = null;
  }

  static formOf(packet) {
    return [packet.bands, packet.low_hz, packet.high_hz, packet.hop_ms, packet.floor_db, packet.step_db].join(" ");
  }

  // Adds a packet, after the gap before it; false: it is older than what is there.
  add(packet) {
    const missing = packet.stream === this.stream
      ? (packet.sequence - this.sequence - 1) * packet.columns
      : this.stream === undefined ? 0 : Math.max(Math.round((packet.at_ms - this.head_ms) / this.hop_ms), packet.follows_gap ? 3 : 0);
    if (missing < 0) return false;
    this.stream = packet.stream;
    this.sequence = packet.sequence;
    this.skip(Math.min(missing, WIDTH));
    this.put(packet);
    this.head_ms = packet.at_ms + packet.columns * packet.hop_ms;
    return true;
  }

  skip(count) {
    this.context.fillStyle = GAP;
    for (let left = count; left > 0;) {
      const x = this.head % WIDTH, width = Math.min(left, WIDTH - x);
      this.context.fillRect(x, 0, width, this.bands);
      this.head += width;
      left -= width;
    }
  }

  put({ columns, bands, levels }) {
    if (this.image?.width !== columns) {
      this.image = this.context.createImageData(columns, bands);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    for (let column = 0, from = 0; column < columns; column += 1) {
      for (let at = (bands - 1) * columns + column; at >= 0; at -= columns) this.pixels[at] = this.palette[levels[from++]];
    }
    const x = this.head % WIDTH;
    this.context.putImageData(this.image, x, 0);
    if (x + columns > WIDTH) this.context.putImageData(this.image, x - WIDTH, 0);
    this.head += columns;
  }

  numberAt(ms) {
    return this.head - (this.head_ms - ms) / this.hop_ms;
  }
}

export class Spectrogram {
  // `parts`: the elements that it fills: canvas, scores (a tbody), said (read out), state.
  constructor(parts, device, source) {
    Object.assign(this, parts, { device, source, ring: null, paused: false, trouble: "", about: "" });
    this.detections = new Map(); // by id
    this.clips = []; // of scores
    this.rows = []; // labels, each in the row that it got
    this.unsaid = [];
    this.said_ms = 0;
    this.came_ms = Date.now();
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.timer = setInterval(() => this.tick(), 1000);
  }

  takeColumns(buffer) {
    const packet = decode(buffer);
    if (this.ring?.form !== Ring.formOf(packet)) this.ring = new Ring(packet);
    if (!this.ring.add(packet)) return;
    this.came_ms = Date.now();
    this.canvas.dataset.columns = this.ring.head;
    this.draw();
  }

  takeScores(scores) {
    this.clips = [...this.clips, ...scores].slice(-MAX_KEPT);
    const entries = Object.entries(scores.at(-1).scores).slice(0, ROWS);
    const open = new Set([...this.detections.values()].filter((each) => each.end === null).map((each) => each.label));
    this.scores.replaceChildren(...entries.map(([label, score]) => {
      const row = document.createElement("tr"), meter = document.createElement("meter");
      meter.value = score;
      meter.ariaLabel = label;
      for (const cell of [label, meter, score.toFixed(2), open.has(label) ? "detected" : ""]) row.insertCell().append(cell);
      return row;
    }));
  }

  takeDetections(recents) {
    for (const item of recents) {
      if (item.device !== this.device || item.source !== this.source) continue;
      if (item.kind === "offset") {
        const begun = this.detections.get(item.id);
        this.detections.set(item.id, { label: item.label, score: item.score, at: begun?.at ?? item.at - 1000 * item.duration_s, end: item.at });
      } else if (!this.detections.has(item.id)) {
        this.detections.set(item.id, { label: item.label, score: item.score, at: item.at, end: null });
        // what came before this page is no news
        if (item.at > Date.now() - 30_000) this.unsaid.push(`${item.label}, score ${item.score.toFixed(2)}, at ${clock.format(item.at)}`);
      }
    }
    for (const id of [...this.detections.keys()].slice(0, -MAX_KEPT)) this.detections.delete(id);
    this.tick();
  }

  tick() {
    const now = Date.now();
    if (this.unsaid.length > 0 && now - this.said_ms >= SAY_MS) {
      this.said.textContent = `Heard: ${this.unsaid.slice(-3).join("; ")}`;
      this.unsaid = [];
      this.said_ms = now;
    }
    const quiet = now - this.came_ms > QUIET_MS ? "no columns come from the device" : "";
    const state = this.trouble || [quiet, this.about].filter(Boolean).join("; ") || (this.ring === null ? "waiting for the first columns…" : "");
    if (this.state.textContent !== state) this.state.textContent = state;
  }

  pause(paused) {
    this.paused = paused;
    this.draw();
  }

  draw() {
    const { canvas, ring } = this, scale = devicePixelRatio || 1;
    if (this.paused || canvas.clientWidth === 0) return;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const style = getComputedStyle(canvas), pen = canvas.getContext("2d");
    const colours = { text: style.color, soft: style.getPropertyValue("--soft"), bar: style.getPropertyValue("--bar"), panel: style.getPropertyValue("--panel"), line: style.getPropertyValue("--line") };
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `13px ${style.fontFamily}`;
    pen.textBaseline = "middle";
    const left = Math.min(120, width * 0.24), plot = width - left - 1, low = height - ROWS * 24 - 26;
    pen.fillStyle = colours.panel;
    pen.fillRect(left, 8, plot, low - 8);
    if (ring === null) return;
    const step = plot / WIDTH;
    // without motion the picture stands, and the place of the newest column moves over it
    const x = (number) => left + step * (this.still.matches ? ((number % WIDTH) + WIDTH) % WIDTH : WIDTH - ring.head + number);
    this.drawRing(pen, left, plot, low, x);
    this.drawFrequencies(pen, left, low, colours);
    this.drawTimes(pen, left, plot, low, x, colours);
    this.drawLabels(pen, left, plot, low, height, x, colours);
    this.view = { left, step, top: 8, bottom: low, head: ring.head, head_ms: ring.head_ms, hop_ms: ring.hop_ms };
    canvas.setAttribute("aria-label", `Spectrogram of ${this.source} on ${this.device}: the latest 30 s, 0 to ${ring.high_hz / 1000} kHz`);
  }

  // The time of the newest column that is shown.
  edge_ms() {
    return this.view?.head_ms ?? Date.now();
  }

  // The time at a place of the canvas, in pixels from its left.
  timeAt(x) {
    if (!this.view) return Date.now();
    const { left, step, head, head_ms, hop_ms } = this.view, column = Math.min(Math.max((x - left) / step, 0), WIDTH);
    // without motion, what is to the right of the newest column is of the round before
    const back = this.still.matches ? ((head - column) % WIDTH + WIDTH) % WIDTH : WIDTH - column;
    return head_ms - back * hop_ms;
  }

  // Where a span of time is on the canvas: none, one or two places, in pixels.
  placesOf(from_ms, until_ms) {
    if (!this.view) return [];
    const { left, step, top, bottom, head, head_ms, hop_ms } = this.view;
    const [first, last] = [from_ms, until_ms].map((ms) => Math.min(Math.max(head - (head_ms - ms) / hop_ms, head - WIDTH), head));
    const place = (begin, end) => ({ left: left + step * begin, width: Math.max(2, step * (end - begin)), top, height: bottom - top });
    if (last <= first) return [];
    if (!this.still.matches) return [place(WIDTH - head + first, WIDTH - head + last)];
    const begin = ((first % WIDTH) + WIDTH) % WIDTH, end = begin + last - first;
    return end <= WIDTH ? [place(begin, end)] : [place(begin, WIDTH), place(0, end - WIDTH)];
  }

  drawRing(pen, left, plot, low, x) {
    const { ring } = this, split = this.still.matches ? 0 : ring.head % WIDTH, step = plot / WIDTH;
    pen.drawImage(ring.canvas, split, 0, WIDTH - split, ring.bands, left, 8, step * (WIDTH - split), low - 8);
    if (split > 0) pen.drawImage(ring.canvas, 0, 0, split, ring.bands, left + step * (WIDTH - split), 8, step * split, low - 8);
    if (this.still.matches) {
      pen.fillStyle = MARK;
      pen.fillRect(x(ring.head), 8, 2, low - 8);
    }
  }

  drawFrequencies(pen, left, low, colours) {
    const top_khz = this.ring.high_hz / 1000;
    const step_khz = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].find((each) => top_khz / each <= 6) ?? 200;
    pen.fillStyle = pen.strokeStyle = colours.soft;
    pen.textAlign = "right";
    for (let khz = 0; khz <= top_khz + 1e-6; khz += step_khz) {
      const y = low - khz / top_khz * (low - 8);
      pen.fillText(`${Number(khz.toFixed(1))} kHz`, left - 8, Math.min(Math.max(y, 12), low - 4));
      pen.fillRect(left - 5, y, 5, 1);
    }
  }

  drawTimes(pen, left, plot, low, x, colours) {
    const { ring } = this, every_ms = plot < 420 ? 15_000 : 5000;
    const first_ms = ring.head_ms - WIDTH * ring.hop_ms;
    pen.textAlign = "center";
    for (let ms = Math.ceil(first_ms / every_ms) * every_ms; ms < ring.head_ms; ms += every_ms) {
      const at = x(ring.numberAt(ms));
      pen.fillStyle = colours.soft;
      pen.fillRect(at, low, 1, 5);
      if (at > left + 30 && at < left + plot - 28) pen.fillText(clock.format(ms), at, low + 14);
    }
  }

  drawLabels(pen, left, plot, low, height, x, colours) {
    const { ring } = this, first_ms = ring.head_ms - WIDTH * ring.hop_ms;
    const clips = this.clips.filter((clip) => clip.at > first_ms);
    const detections = [...this.detections.values()].filter((each) => (each.end ?? ring.head_ms) > first_ms && each.at < ring.head_ms);
    const best = new Map();
    for (const { scores } of clips) for (const [label, score] of Object.entries(scores)) best.set(label, Math.max(score, best.get(label) ?? 0));
    for (const { label } of detections) best.set(label, 2);
    const wanted = [...best].sort((a, b) => b[1] - a[1]).slice(0, ROWS).map(([label]) => label);
    this.rows = Array.from({ length: ROWS }, (_, row) => wanted.includes(this.rows[row]) ? this.rows[row] : null);
    for (const label of wanted) if (!this.rows.includes(label)) this.rows[this.rows.indexOf(null)] = label;

    const span = (label, from_ms, until_ms, draw) => {
      const row = this.rows.indexOf(label), number = ring.numberAt(Math.max(from_ms, first_ms));
      if (row < 0) return;
      const begin = x(number), length = Math.max(2, (Math.min(until_ms, ring.head_ms) - Math.max(from_ms, first_ms)) / ring.hop_ms * plot / WIDTH);
      const y = low + 28 + 24 * row;
      draw(begin, y, Math.min(length, left + plot - begin));
      // over the edge, where the picture stands
      if (begin + length > left + plot + 1) draw(left, y, begin + length - left - plot);
    };
    pen.textAlign = "right";
    this.rows.forEach((label, row) => {
      if (label === null) return;
      pen.fillStyle = colours.line;
      pen.fillRect(left, low + 28 + 24 * row + 18, plot, 1);
      pen.fillStyle = colours.text;
      pen.fillText(fit(pen, label, left - 10), left - 8, low + 28 + 24 * row + 9);
    });
    pen.fillStyle = colours.bar;
    pen.globalAlpha = 0.7;
    for (const [index, clip] of clips.entries()) {
      // clips overlap: each stands for its middle, as wide as from one to the next
      const length_ms = 1000 * clip.duration_s, half_ms = Math.min(length_ms, (clips[index + 1]?.at ?? Infinity) - clip.at, clip.at - (clips[index - 1]?.at ?? -Infinity)) / 2;
      const middle_ms = clip.at + length_ms / 2;
      for (const [label, score] of Object.entries(clip.scores)) {
        const height_px = Math.max(2, 17 * score);
        span(label, middle_ms - half_ms, middle_ms + half_ms, (begin, y, length) => pen.fillRect(begin, y + 18 - height_px, length, height_px));
      }
    }
    pen.globalAlpha = 1;
    pen.lineWidth = 2;
    pen.textAlign = "left";
    for (const { label, score, at, end } of detections) {
      pen.strokeStyle = colours.text;
      span(label, at, end ?? ring.head_ms, (begin, y, length) => pen.strokeRect(begin, y, length, 18));
      if (at < first_ms) continue;
      const begin = x(ring.numberAt(at)), text = fit(pen, `${label} ${score.toFixed(2)}`, 200), wide = pen.measureText(text).width + 10;
      pen.fillStyle = MARK;
      pen.fillRect(begin, 8, 2, low - 8);
      const place = Math.min(begin, left + plot - wide);
      pen.fillRect(place, 8, wide, 20);
      pen.fillStyle = "#000";
      pen.fillText(text, place + 5, 18);
    }
  }
}

function fit(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let length = Math.min(text.length, 60);
  while (length > 1 && pen.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
  return `${text.slice(0, length)}…`;
}
