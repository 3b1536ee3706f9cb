// The timeline of a call: talk, holds, gaps, and what an operator silenced, for each party.

import { element, KeyedList, setAttribute, setText } from "./dom.js";
import { clock, counted, partyName, span } from "./format.js";

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const TICK_WIDTH = 64; // pixels

export const KINDS = {
  talk: "Talk",
  hold: "Hold: no audio came",
  lost: "Lost audio",
  filled: "Left out or filled in",
  silenced: "Paused or muted by an operator",
};

/** `stretches` have kind, track (empty: all parties), start, end, and perhaps text. */
export class Timeline {
  #tracks = new Map();
  #ticks;

  constructor(container, table) {
    this.axis = element("div", { class: "axis", "aria-hidden": "true" });
    this.rows = element("div", { class: "tracks", role: "img" });
    container.append(this.rows, this.axis);
    this.#ticks = new KeyedList(this.axis, (second) => second, () => {
      const made = element("span");
      return { element: made, show: (second) => (setText(made, clock(second)), (made.style.left = `${(100 * second) / this.seconds}%`)) };
    });
    this.table = new KeyedList(table, key, () => {
      const cells = ["number", "number", "", ""].map((kind) => element("td", kind ? { class: kind } : {}));
      return {
        element: element("tr", {}, ...cells),
        show: (one) => [precise(one.start), precise(one.end), partyName(one.track), described(one)].forEach((value, n) => setText(cells[n], value)),
      };
    });
  }

  show(seconds, parties, stretches) {
    this.seconds = Math.max(seconds, 0.1);
    for (const [name, track] of this.#tracks) {
      if (parties.includes(name)) continue;
      track.row.remove();
      this.#tracks.delete(name);
    }
    for (const name of parties) {
      if (!this.#tracks.has(name)) this.#tracks.set(name, this.#track(name));
      this.#tracks.get(name).list.show(stretches.filter((one) => [name, ""].includes(one.track)));
    }
    const most = Math.max(1, this.axis.clientWidth / TICK_WIDTH);
    const step = STEPS.find((one) => this.seconds / one <= most) ?? STEPS.at(-1);
    this.#ticks.show(Array.from({ length: Math.floor(this.seconds / step) + 1 }, (_, number) => number * step));
    setAttribute(this.rows, "aria-label", summary(this.seconds, stretches));
    this.table.show([...stretches].sort((a, b) => a.start - b.start));
  }

  #track(name) {
    const bars = element("div", { class: "bars" });
    const row = element("div", { class: "track", "data-track": name }, element("span", { class: "who" }, partyName(name)), bars);
    this.rows.append(row);
    const list = new KeyedList(bars, key, (one) => {
      const bar = element("span", { class: `stretch ${one.kind}` });
      return {
        element: bar,
        show: (shown) => {
          bar.style.left = `${(100 * shown.start) / this.seconds}%`;
          bar.style.width = `${(100 * (shown.end - shown.start)) / this.seconds}%`;
          setAttribute(bar, "title", `${precise(shown.start)} to ${precise(shown.end)}: ${described(shown)}`);
        },
      };
    });
    return { row, list };
  }
}

function key(one) {
  return `${one.kind} ${one.track} ${one.start} ${one.text ?? ""}`;
}

function described(one) {
  return one.text ? `${KINDS[one.kind]} (${one.text})` : KINDS[one.kind];
}

function precise(seconds) {
  const tenths = Math.floor((seconds % 1) * 10 + 1e-6);
  return `${clock(seconds + 1e-6)}.${tenths}`;
}

function summary(seconds, stretches) {
  const of = (kind) => stretches.filter((one) => one.kind === kind);
  const lost = of("lost").reduce((sum, one) => sum + (one.ms ?? (one.end - one.start) * 1000), 0);
  const parts = [
    of("lost").length ? `${counted(of("lost").length, "gap")} of lost audio, ${span(lost)} in all` : "no lost audio",
    counted(of("hold").length, "hold"),
    of("silenced").length && `${counted(of("silenced").length, "stretch")} silenced by an operator`.replace("stretchs", "stretches"),
  ];
  return `Timeline of ${clock(seconds)}: ${parts.filter(Boolean).join(", ")}`;
}
