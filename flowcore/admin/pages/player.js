// Plays the audio of one call as it comes. Nothing of it is stored.

import { ofCall, Problem, request, stream } from "./api.js";
import { ChunkReader, levelOf, parties } from "./samples.js";

const TELEPHONE_RATE = 8000;
const LAST = 2000; // ms in which the last audio is played

export class Player {
  #abort = new AbortController();
  #context = new AudioContext({ sampleRate: TELEPHONE_RATE, latencyHint: "interactive" }); // in the click that allows it
  #node = null;

  /** `heard` gets the levels of a chunk's parties, `behind` the seconds behind the newest audio, `ended` why it ended. */
  constructor({ heard, behind, ended }) {
    this.heard = heard;
    this.behind = behind;
    this.ended = ended;
    this.lost = 0;
  }

  /** Play until the call ends, or `stop` is called. */
  async play(flow) {
    let end = "The connection broke off. Listen again to go on.";
    try {
      const { token } = await request(ofCall(flow, "listen"), { method: "POST" });
      const headers = { Authorization: `Bearer ${token}` };
      const answer = await stream("v1/audio", { headers, signal: this.#abort.signal });
      const chunks = new ChunkReader();
      for (let reader = answer.body.getReader(), part; !(part = await reader.read()).done; ) {
        for (const { head, data } of chunks.feed(part.value)) {
          if (head.end !== undefined) end = head.end ? "The call has ended." : "flowcore has ended.";
          else await this.#take(head, data);
        }
      }
    } catch (error) {
      if (this.#abort.signal.aborted) end = "";
      else if (error instanceof Problem) end = error.message;
      else if (!(error instanceof TypeError)) throw error; // the connection broke off
    }
    if (end) await new Promise((resolve) => setTimeout(resolve, this.#node ? LAST : 0));
    await this.#context.close();
    this.ended(end);
  }

  stop() {
    this.#abort.abort();
  }

  async #take(head, data) {
    this.lost += head.lost;
    if (!this.#node) await this.#open(head.rate);
    const place = head.start; // in samples of the call
    for (const [track, samples] of parties(head, data)) {
      this.heard(track, levelOf(samples));
      this.#node.port.postMessage({ track, start: place, samples }, [samples.buffer]);
    }
  }

  async #open(rate) {
    if (rate !== this.#context.sampleRate) {
      await this.#context.close();
      this.#context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
    }
    await this.#context.audioWorklet.addModule("player-worklet.js");
    this.#node = new AudioWorkletNode(this.#context, "flowcore-player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => this.behind(data.behind, data.played);
    this.#node.connect(this.#context.destination);
    await this.#context.resume();
  }
}
