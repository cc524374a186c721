// Ogg files of Opus packets (RFC 3533, RFC 7845), as short as a browser decodes at once. Owns: pages and their checksums.
// Does not know: where packets come from, what is made of the sound.

const CRC = new Uint32Array(256).map((_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit += 1) value = value & 0x80000000 ? value << 1 ^ 0x04c11db7 : value << 1;
  return value;
});
const FIRST = 2, LAST = 4;
const MAX_SEGMENTS = 255;
export const RATE = 48_000, PACKET_SAMPLES = 960; // of every packet that comes

function join(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// Lengths of a packet's segments: 255 each, and the rest, which is 0 where it ends at 255.
function segments(packet) {
  return [...Array(Math.floor(packet.length / 255)).fill(255), packet.length % 255];
}

// A page of whole packets. `samples`: those that the file holds at its end.
function page(number, flags, samples, packets) {
  const lengths = packets.flatMap(segments), head = new Uint8Array(27), view = new DataView(head.buffer);
  head.set([0x4f, 0x67, 0x67, 0x53]); // OggS
  view.setUint8(5, flags);
  view.setBigUint64(6, BigInt(samples), true);
  view.setUint32(14, 1, true); // serial number
  view.setUint32(18, number, true);
  view.setUint8(26, lengths.length);
  const made = join([head, Uint8Array.from(lengths), ...packets]);
  let crc = 0;
  for (const byte of made) crc = crc << 8 ^ CRC[crc >>> 24 ^ byte];
  new DataView(made.buffer).setUint32(22, crc >>> 0, true);
  return made;
}

// Returns the bytes of a file of one channel with these packets, all of whose samples are to be heard.
export function oggFile(packets) {
  const head = new Uint8Array(19), view = new DataView(head.buffer), text = new TextEncoder();
  head.set(text.encode("OpusHead"));
  head.set([1, 1], 8); // version, channels
  view.setUint32(12, RATE, true);
  const tags = new Uint8Array(16);
  tags.set(text.encode("OpusTags"));
  const pages = [page(0, FIRST, 0, [head]), page(1, 0, 0, [tags])];
  let samples = 0;
  for (let rest = packets; rest.length > 0;) {
    let count = 0;
    for (let used = 0; count < rest.length; count += 1) {
      used += segments(rest[count]).length;
      if (used > MAX_SEGMENTS) break;
    }
    samples += count * PACKET_SAMPLES;
    pages.push(page(pages.length, count === rest.length ? LAST : 0, samples, rest.slice(0, count)));
    rest = rest.slice(count);
  }
  return join(pages);
}
