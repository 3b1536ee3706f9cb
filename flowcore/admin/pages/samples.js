// The audio stream of the admin API: lines of JSON, each with the samples of a chunk behind it.

const MULAW_BIAS = 0x84;

/** Takes bytes as they come, and returns the chunks that are complete: `{head, data}`. */
export class ChunkReader {
  #bytes = new Uint8Array(0);

  feed(more) {
    const bytes = new Uint8Array(this.#bytes.length + more.length);
    bytes.set(this.#bytes);
    bytes.set(more, this.#bytes.length);
    const chunks = [];
    let from = 0;
    for (;;) {
      const line = bytes.indexOf(10, from);
      if (line < 0) break;
      const head = JSON.parse(new TextDecoder().decode(bytes.subarray(from, line)));
      const end = line + 1 + (head.bytes ?? 0);
      if (end > bytes.length) break;
      chunks.push({ head, data: bytes.slice(line + 1, end) });
      from = end;
    }
    this.#bytes = bytes.slice(from);
    return chunks;
  }
}

const DECODERS = {
  s16: (data) => Float32Array.from(new Int16Array(data.buffer), (value) => value / 32768),
  f32: (data) => new Float32Array(data.buffer),
  mulaw: (data) => Float32Array.from(data, decodeMulaw),
};

/** ITU-T G.711: the code is sent inverted. */
function decodeMulaw(code) {
  const bits = ~code & 0xff, exponent = (bits >> 4) & 7, mantissa = bits & 15;
  const size = (((mantissa << 3) + MULAW_BIAS) << exponent) - MULAW_BIAS;
  return (bits & 0x80 ? -size : size) / 32768;
}

/** The parties of a chunk with their samples, from -1 to 1: `[track, samples]`. */
export function parties({ track, channels, encoding }, data) {
  const samples = DECODERS[encoding](data);
  if (channels === 1) return [[track, samples]];
  return ["agent", "customer"].slice(0, channels).map((party, channel) => [
    party,
    samples.filter((_, place) => place % channels === channel),
  ]);
}

/** The root mean square in dB full scale; null for silence. */
export function levelOf(samples) {
  const power = samples.reduce((sum, value) => sum + value * value, 0) / (samples.length || 1);
  return power > 0 ? 10 * Math.log10(power) : null;
}
