// What a clip goes through at playback: a high-pass filter, gain, and a limiter, so that much gain does not hurt.
// Owns: the nodes and their numbers. Does not know: what plays, controls. The file stays as it is.

export const MIN_GAIN_DB = -20, MAX_GAIN_DB = 40;
const LIMIT_DB = -3; // from where on the limiter holds back
const MAKEUP = 10 ** (-1.71 / 20); // takes back what the compressor adds: (1 / gain at 0 dBFS) ** 0.6, by the standard

// Returns {input, output, set}: connect a source to input; `set` takes dB, and Hz with 0 for no filter.
export function audioChain(context) {
  const input = context.createGain(), output = context.createGain();
  const filters = [context.createBiquadFilter(), context.createBiquadFilter()];
  // together a Butterworth filter of the fourth order
  filters.forEach((filter, index) => { filter.type = "highpass"; filter.Q.value = 20 * Math.log10([0.5412, 1.3066][index]); });
  const gain = context.createGain(), limiter = context.createDynamicsCompressor(), level = context.createGain();
  for (const [name, value] of Object.entries({ threshold: LIMIT_DB, knee: 0, ratio: 20, attack: 0.001, release: 0.1 })) limiter[name].value = value;
  level.gain.value = MAKEUP;
  filters[0].connect(filters[1]);
  limiter.connect(level).connect(output);
  function set(gain_db, highpass_hz) {
    input.disconnect();
    filters[1].disconnect();
    gain.disconnect();
    const hz = Math.min(highpass_hz, context.sampleRate / 2);
    for (const filter of filters) filter.frequency.value = hz;
    gain.gain.value = 10 ** (gain_db / 20);
    if (hz > 0) {
      input.connect(filters[0]);
      filters[1].connect(gain);
    } else input.connect(gain);
    gain.connect(gain_db > 0 ? limiter : output); // without more gain, nothing is held back
  }
  set(0, 0);
  return { input, output, set };
}
