// The words of a call. They are set as text, never as markup.

import { element, KeyedList, setAttribute, setHidden, setText } from "./dom.js";
import { clock, partyName } from "./format.js";

const MAX_LINES = 2000;
const GAPS = { paused: "paused by an operator" }; // why there are no words

export class Words {
  #texts = new Map();

  constructor(list) {
    this.list = new KeyedList(list, (text) => text.key, () => new Line());
  }

  /** Take texts; each replaces the one of the same utterance. */
  take(texts) {
    for (const text of texts) {
      const key = `${text.track} ${text.utterance ?? text.start}`;
      if (text.text || text.gap) this.#texts.set(key, { ...text, key });
      else this.#texts.delete(key);
    }
    while (this.#texts.size > MAX_LINES) this.#texts.delete(this.#texts.keys().next().value);
    this.list.show([...this.#texts.values()].sort((a, b) => a.start - b.start));
  }

  clear() {
    this.#texts.clear();
    this.list.show([]);
  }
}

class Line {
  constructor() {
    this.time = element("time");
    this.who = element("span", { class: "who" });
    this.mark = element("span", { class: "badge warn", hidden: true }, "uncertain");
    this.said = element("p", { dir: "auto" });
    this.element = element("li", {}, this.time, this.who, " ", this.mark, this.said);
  }

  show(text) {
    setAttribute(this.element, "data-track", text.track);
    setText(this.time, clock(text.start));
    setText(this.who, partyName(text.track));
    setText(this.said, text.gap ? GAPS[text.gap] ?? "not transcribed" : text.text);
    setAttribute(this.said, "lang", text.language || null);
    setHidden(this.mark, !text.uncertain);
    this.element.classList.toggle("interim", !text.final);
    this.element.classList.toggle("gap", Boolean(text.gap));
  }
}
