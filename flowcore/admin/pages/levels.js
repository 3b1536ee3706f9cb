// The level of each party, as a bar of 60 dB.

import { element, setAttribute, setHidden, setText } from "./dom.js";
import { decibels, partyName } from "./format.js";

const FLOOR = -60; // dB full scale: an empty bar

/** The parties of one call. `silent` are those that an operator muted, or all where the call is paused. */
export class Levels {
  #parties = new Map();

  constructor(container) {
    this.container = container;
  }

  show(parties, levels, muted = []) {
    for (const [track, party] of this.#parties) {
      if (parties.includes(track)) continue;
      party.line.remove();
      this.#parties.delete(track);
    }
    for (const track of parties) {
      if (!this.#parties.has(track)) this.#parties.set(track, this.#make(track));
      const { bar, fill, mark, value } = this.#parties.get(track), level = levels[track] ?? null;
      const shown = level === null ? FLOOR : Math.max(FLOOR, Math.min(0, Math.round(level)));
      setAttribute(bar, "aria-valuenow", shown);
      setAttribute(bar, "aria-valuetext", decibels(level));
      fill.style.transform = `scaleX(${1 - shown / FLOOR})`;
      setText(value, level === null ? "" : String(shown));
      setHidden(mark, !muted.includes(track));
    }
  }

  #make(track) {
    const fill = element("span", { class: "fill" });
    const name = partyName(track);
    const bar = element(
      "span",
      { class: "bar", role: "meter", "aria-label": `Level of ${name}`, "aria-valuemin": FLOOR, "aria-valuemax": 0 },
      fill,
    );
    const mark = element("span", { class: "badge warn", hidden: true }, "muted");
    const value = element("span", { class: "db", "aria-hidden": "true" });
    const line = element("div", { class: "level", "data-track": track }, element("span", { class: "who" }, name), bar, value, mark);
    this.container.append(line);
    return { line, bar, fill, mark, value };
  }
}
