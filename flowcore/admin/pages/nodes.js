// The table of the nodes of a graph, with rates from the differences of their counters.

import { element, KeyedList, setText } from "./dom.js";
import { NONE, rate, span } from "./format.js";
import { reasonsText } from "./losses.js";

/** Rates of counters, from two answers: the difference of the values by that of their times, in seconds. */
export class Rates {
  #before = new Map();

  /** The rate of each counter of `node` each second, or null at first. */
  of(node, seconds) {
    const now = { seconds, in: node.in.chunks, inMs: node.in.ms, out: node.out.chunks, outMs: node.out.ms, busy: node.busy_ms };
    const before = this.#before.get(node.name) ?? {};
    this.#before.set(node.name, now);
    const passed = now.seconds - before.seconds;
    return (name) => (passed > 0 ? Math.max(0, now[name] - before[name]) / passed : null);
  }
}

/** Shows nodes in the body of a table. */
export class NodeTable {
  constructor(body) {
    this.list = new KeyedList(body, (node) => node.name, () => new Row());
  }

  /** `nodes` is a list of pairs: a node, and its rates. */
  show(nodes) {
    this.list.show(nodes.map(([node, rates]) => ({ ...node, rates })));
  }
}

class Row {
  constructor() {
    this.name = element("th", { scope: "row" });
    this.use = element("span", { class: "soft" });
    this.text = element("span");
    this.name.append(this.text, " ", this.use);
    this.cells = ["number", "number", "number", "number", "number", ""].map((kind) => element("td", kind ? { class: kind } : {}));
    this.element = element("tr", {}, this.name, ...this.cells);
  }

  show(node) {
    setText(this.text, node.name);
    setText(this.use, node.state && node.state !== "ok" ? `${node.use}, ${node.state}` : node.use);
    this.name.classList.toggle("bad", Boolean(node.state) && node.state !== "ok");
    const busy = node.rates("busy");
    const reasons = [node.error, reasonsText(node.dropped), node.filled && Object.keys(node.filled).length && `filled: ${reasonsText(node.filled)}`];
    const values = [
      rate(node.rates("in")),
      rate(node.rates("out")),
      span(node.lost_ms),
      node.queue ? `${span(node.queue.ms)} of ${span(node.queue.limit_ms)}` : NONE,
      busy === null ? NONE : `${(busy / 10).toFixed(busy < 100 ? 1 : 0)} %`,
      reasons.filter(Boolean).join(", "),
    ];
    values.forEach((value, number) => setText(this.cells[number], value));
    this.cells[2].classList.toggle("warn", node.lost_ms > 0);
  }
}
