// The function node of flow.json: a detection comes in, a notification goes out, or nothing. README.md says the rules.
// flow.json holds a copy of this file, written by `python -m tools.maintenance.node_red_flow`.
//
// What was notified is kept in Node-RED's global context, so that copies of the flow know of each other.

const MAX_PAYLOAD = 16384; // characters; a detection has 400
const MAX_TEXT = 200; // characters of an id or a label
const MAX_KEPT = 1000; // detections that are known again, and sounds whose cooldown is known

// The detection in an MQTT message; null if it holds none. Its device and source are those of the topic, which the
// broker's access rules guard.
function detectionOf({ topic, payload, retain }) {
  if (retain || typeof payload !== "string" || payload.length > MAX_PAYLOAD) return null; // none is retained
  let detection;
  try {
    detection = JSON.parse(payload);
  } catch {
    return null;
  }
  const { id, kind, label, at, score } = detection ?? {};
  const [device, source] = String(topic).split("/").slice(-3);
  const texts = [id, label, device, source].every((text) => typeof text === "string" && text.length <= MAX_TEXT);
  if (!texts || !source || typeof score !== "number" || Number.isNaN(Date.parse(at))) return null;
  return ["onset", "offset"].includes(kind) ? { ...detection, device, source } : null;
}

// True the first time that it is called for a key within some seconds; then it counts from now.
function isDue(name, key, seconds, now) {
  const seen = new Map(global.get(name) ?? []);
  const age = Math.abs(now - seen.get(key)) / 1000; // NaN if it was not seen; the clock may have been set back
  if (age < seconds) return false;
  seen.delete(key); // the newest are last
  seen.set(key, now);
  global.set(name, [...seen].slice(-MAX_KEPT));
  return true;
}

const detection = detectionOf(msg);
if (detection?.kind !== "onset") return null; // the end of a sound is no news
if (detection.test && env.get("TELL_TESTS") !== true) return null;

const now = Date.now();
const sound = [detection.device, detection.source, detection.label].join("/");
// asked in this order: a detection within the cooldown is told neither now nor when it is delivered again
if (!isDue("edgeaudio_detections", `${detection.id} ${detection.kind}`, Infinity, now)) return null;
if (!detection.test && !isDue("edgeaudio_cooldowns", sound, Number(env.get("COOLDOWN_S")), now)) return null;

const label = detection.label.replace(/[_\p{C}\p{Zl}\p{Zp}]+/gu, " ");
const time = new Date(detection.at).toLocaleString("sv-SE"); // 2026-11-20 20:51:15, in the zone of this machine
node.status({ fill: "green", shape: "dot", text: `${detection.source}: ${label}, ${time}` });
return {
  topic: `${detection.test ? "Test: " : ""}${label} (${detection.source})`,
  payload: `${label} was heard by ${detection.source} of ${detection.device} at ${time}, score ${detection.score.toFixed(2)}`,
  detection,
};
