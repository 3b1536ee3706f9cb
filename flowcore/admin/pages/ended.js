// The page of the ended calls, from the call log.

import { poll, request } from "./api.js";
import { at, element, KeyedList, setAttribute, setHidden, setText } from "./dom.js";
import { clock, count, moment, NONE, span } from "./format.js";
import { lossText } from "./losses.js";
import { begin, showProblem, showState } from "./shell.js";

const EVERY = 5000; // ms
const LIMIT = 200;
const HOUR = 3_600_000; // ms

class Row {
  constructor(call) {
    this.link = element("a", { href: `call#${encodeURIComponent(call.flow)}` });
    this.cells = [["Ended", ""], ["Length", "number"], ["Why it ended", ""], ["Lost", "number"], ["Lost by", "why"], ["Words", "number"]].map(
      ([label, kind]) => element("td", { role: "cell", class: kind, "data-label": label }),
    );
    const head = element("th", { role: "rowheader", scope: "row", class: "head" }, this.link);
    this.element = element("tr", { role: "row" }, head, ...this.cells);
  }

  show(call) {
    setText(this.link, call.call_id || call.flow);
    setAttribute(this.link, "title", call.flow);
    const failed = (call.failures ?? []).map((failure) => `${failure.node} failed: ${failure.error}`);
    const why = [lossText(call.lost), ...failed].filter(Boolean).join(", ");
    const values = [moment(call.ended ?? call.started), clock(call.seconds), call.reason ?? NONE, span(call.lost_ms), why, count(call.words)];
    values.forEach((value, number) => setText(this.cells[number], value));
    this.cells[3].classList.toggle("warn", call.lost_ms > 0);
    this.cells[2].classList.toggle("bad", ["killed", "node_failed"].includes(call.reason));
  }
}

const rows = new KeyedList(at("rows"), (call) => call.flow, (call) => new Row(call));

function show({ log, calls }) {
  showState("live");
  rows.show(calls);
  setHidden(at("calls"), !calls.length);
  setHidden(at("empty"), calls.length > 0);
  setText(
    at("empty"),
    log ? "No such call has ended. A call is here some seconds after its end." : "This run keeps no call log: flowcore run --call-log FILE keeps one.",
  );
}

function search() {
  const query = new URLSearchParams({ limit: LIMIT });
  if (at("since").value) query.set("since", new Date(Date.now() - at("since").value * HOUR).toISOString());
  if (at("lost").value) query.set("lost_ms", at("lost").value);
  return request(`v1/ended?${query}`);
}

at("tools").addEventListener("submit", (event) => event.preventDefault());
await begin();
const updates = poll({ ask: search, show, fail: showProblem, every: EVERY });
at("tools").addEventListener("change", updates.now);
