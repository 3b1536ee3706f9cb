// Plays chunks of audio on the clock of the call, some moments behind the newest one.

const MARGIN = 0.06; // seconds that wait beyond the length of a chunk
const MAX_BEHIND = 1.5; // seconds behind the newest audio, beyond the wanted ones, after which the rest is skipped
const REPORT_INTERVAL = 0.25; // seconds

class Player extends AudioWorkletProcessor {
  #tracks = new Map(); // chunks of each track, in order: {start, samples}, start in samples of the call
  #newest = 0; // the end of the newest audio, in samples of the call
  #longest = 0; // the longest chunk, in samples
  #at = null; // what is played next, in samples of the call; null while it waits
  #heard = -Infinity; // the end of what was played
  #played = 0;
  #reported = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.#take(data);
  }

  #take({ track, start, samples }) {
    if (!this.#tracks.has(track)) this.#tracks.set(track, []);
    this.#tracks.get(track).push({ start, samples });
    this.#newest = Math.max(this.#newest, start + samples.length);
    this.#longest = Math.max(this.#longest, samples.length);
  }

  get #wanted() {
    return this.#longest + Math.round(MARGIN * sampleRate);
  }

  process(_, [[out]]) {
    if (this.#at === null) this.#begin();
    if (this.#at !== null) {
      if (this.#newest - this.#at > this.#wanted + MAX_BEHIND * sampleRate) this.#at = this.#newest - this.#wanted;
      for (const chunks of this.#tracks.values()) this.#mix(chunks, out);
      this.#at += out.length;
      this.#played += out.length;
      this.#heard = Math.min(this.#at, this.#newest);
      if (this.#at >= this.#newest) this.#at = null; // nothing is left: wait until enough is there again
    }
    if (currentTime - this.#reported >= REPORT_INTERVAL) {
      this.#reported = currentTime;
      const behind = this.#at === null ? null : (this.#newest - this.#at) / sampleRate;
      this.port.postMessage({ played: this.#played / sampleRate, behind });
    }
    return true;
  }

  #begin() {
    const starts = [...this.#tracks.values()].filter((chunks) => chunks.length).map((chunks) => chunks[0].start);
    const oldest = Math.max(this.#heard, Math.min(...starts));
    if (this.#newest - oldest >= this.#wanted) this.#at = oldest;
  }

  #mix(chunks, out) {
    while (chunks.length && chunks[0].start + chunks[0].samples.length <= this.#at) chunks.shift();
    for (const { start, samples } of chunks) {
      if (start >= this.#at + out.length) break;
      const from = Math.max(0, this.#at - start), to = Math.min(samples.length, this.#at + out.length - start);
      for (let i = from; i < to; i++) out[start + i - this.#at] += samples[i];
    }
  }
}

registerProcessor("flowcore-player", Player);
