// Plays live sound as its messages come. Owns: the layout of a message (docs/mqtt.md), when each is played, and which part
// of what is decoded. Does not know: the WebSocket, elements.
//
// Each message is decoded alone, as a short Ogg file, which every browser does, also where the page came without TLS (there
// is no WebCodecs then). The packets before it go first, so that the decoder is right where the message begins (RFC 7845).

import { PACKET_SAMPLES, RATE, oggFile } from "./ogg.js";

const LEAD_IN = 6; // packets before a message, 120 ms
const FIRST_LEAD_S = 0.3, LAST_LEAD_S = 3; // of sound that waits, so that it does not break off
const MAX_AHEAD_S = 20; // of sound that waits; what comes beyond is left out
const FOLLOWS_GAP = 1, JUDGED = 2;

export function decode(buffer) {
  const view = new DataView(buffer), count = view.getUint16(34, true), packets = [];
  for (let number = 0, at = 36 + 2 * count; number < count; number += 1) {
    const length = view.getUint16(36 + 2 * number, true);
    packets.push(new Uint8Array(buffer, at, length));
    at += length;
  }
  return {
    follows_gap: (view.getUint8(2) & FOLLOWS_GAP) !== 0, is_judged: (view.getUint8(2) & JUDGED) !== 0,
    stream: view.getUint32(4, true), at_ms: Number(view.getBigInt64(12, true)) / 1000,
    position: Number(view.getBigUint64(20, true)), samples: view.getUint32(28, true), pre_skip: view.getUint16(32, true), packets,
  };
}

export class Player {
  // `output`: the node that it plays to; `heard` is called with each message that is played, its peak, and when.
  constructor(context, output, heard = () => {}) {
    Object.assign(this, { context, output, heard, lead_s: FIRST_LEAD_S, next_s: -1, before: [], expected: null, decoded: Promise.resolve() });
  }

  // Resolves when the message is decoded, and to be played. Rejects where the browser does not know Opus.
  take(buffer) {
    const message = decode(buffer);
    const follows = this.expected?.stream === message.stream && this.expected.position === message.position;
    const before = follows ? this.before : [];
    this.before = [...before, ...message.packets].slice(-LEAD_IN);
    this.expected = { stream: message.stream, position: message.position + message.samples };
    const file = oggFile([...before, ...message.packets]).buffer;
    this.decoded = this.decoded.catch(() => {}).then(async () => {
      const sound = await this.context.decodeAudioData(file);
      this.play(message, follows, sound, before.length + message.packets.length);
    });
    return this.decoded;
  }

  play(message, follows, sound, packets) {
    const skipped = Math.min(Math.max(message.pre_skip - message.position, 0), message.samples);
    const wanted_s = (message.samples - skipped) / RATE;
    // counted from the end: decoders differ in what they leave out at the beginning
    const begin_s = sound.duration - (message.packets.length * PACKET_SAMPLES - skipped) / RATE;
    const now_s = this.context.currentTime;
    if (wanted_s <= 0 || begin_s < -0.5 / RATE || this.next_s - now_s > MAX_AHEAD_S) return;
    if (this.next_s < now_s) {
      // it broke off: more has to wait, unless there was none
      if (follows && this.next_s > 0) this.lead_s = Math.min(1.5 * this.lead_s, LAST_LEAD_S);
      this.next_s = now_s + Math.round(this.lead_s * RATE) / RATE;
    }
    const source = new AudioBufferSourceNode(this.context, { buffer: sound });
    source.connect(this.output);
    source.start(this.next_s, Math.max(begin_s, 0), wanted_s);
    const samples = sound.getChannelData(0), rate = sound.sampleRate;
    let peak = 0;
    for (let at = Math.max(0, Math.round(begin_s * rate)); at < Math.min(samples.length, Math.round((begin_s + wanted_s) * rate)); at += 1) peak = Math.max(peak, Math.abs(samples[at]));
    this.heard({ ...message, peak, seconds: wanted_s, waits_s: this.next_s - now_s, packets });
    this.next_s += wanted_s;
  }
}
