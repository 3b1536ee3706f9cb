// Stands in for Google's client: hears the language for machines of tools/fake_google/words.py in the base64 that the
// sample writes, and says each word once it was heard whole, as an interim text and then as a final one.
"use strict";

const { EventEmitter } = require("node:events");

const CELL = 40;
const MARK = 0xc0;

class Stream extends EventEmitter {
  constructor() {
    super();
    this.rest = Buffer.alloc(0);
    this.next = null; // the word that is being heard, and its next cell
    this.ended = false;
  }

  write(media) {
    if (this.ended) return this.emit("error", new Error("write after end"));
    let data = Buffer.concat([this.rest, Buffer.from(media, "base64")]);
    for (let at = data.indexOf(MARK); at >= 0 && at + CELL <= data.length; at = data.indexOf(MARK)) {
      this.cell(data.subarray(at, at + CELL), at === 0);
      data = data.subarray(at + CELL);
    }
    this.rest = data.indexOf(MARK) < 0 ? Buffer.alloc(0) : data;
    return true;
  }

  // One cell of 5 ms; `joined` says whether it followed the one before without a byte between them.
  cell(cell, joined) {
    const header = [...cell.subarray(1, 8)].map((byte) => byte & 63);
    const [a, b, c, d, e, f, g] = header;
    const number = (a << 12) | (b << 6) | c, place = (d << 6) | e, cells = (f << 6) | g;
    const seed = header.reduce((sum, value, at) => sum + value * (2 * at + 3), 0);
    const pattern = cell.subarray(8).every((byte, step) => byte === (0x80 | ((seed + step * 5) & 63)));
    const follows = place === 0 || (joined && this.next && this.next.number === number && this.next.place === place);
    this.next = pattern && follows ? { number, place: place + 1 } : null;
    if (this.next && place + 1 === cells) for (const isFinal of [false, true]) this.say(`w${number}`, isFinal);
  }

  say(transcript, isFinal) {
    this.emit("data", { results: [{ isFinal, alternatives: [{ transcript }] }] });
  }

  end() {
    this.ended = true;
  }
}

exports.SpeechClient = class {
  streamingRecognize() {
    return new Stream();
  }
};
