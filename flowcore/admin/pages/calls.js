// The page of the live calls.

import { ofCall, poll, request } from "./api.js";
import { showBadges } from "./badges.js";
import { at, element, KeyedList, setAttribute, setHidden, setText } from "./dom.js";
import { Facts } from "./facts.js";
import { clock, count, counted, NONE, span } from "./format.js";
import { Levels } from "./levels.js";
import { begin, command, confirmed, showProblem, showState } from "./shell.js";

const PAGE = 200; // calls on the page at once: as many as an answer has
const TYPING = 250; // ms without a key after which a search begins
const CAPACITY_EVERY = 5000; // ms
const FULL = 0.5; // share of its bound at which a queue is marked

let scopes = new Set();
let offset = 0;
let capacity = null;
let match = "";

class Row {
  constructor(call) {
    this.link = element("a", { href: `call#${encodeURIComponent(call.flow)}` });
    this.badges = element("span", { class: "badges" });
    this.levels = new Levels(element("div", { class: "levels" }));
    this.age = cell("Age", "number");
    this.lost = cell("Lost", "number");
    this.queue = cell("Fullest queue", "number");
    this.latency = cell("Latency", "number");
    const head = element("th", { role: "rowheader", scope: "row", class: "head" }, this.link, this.badges);
    const parties = cell("Parties", "parties");
    parties.append(this.levels.container);
    const actions = cell("", "actions");
    if (scopes.has("control")) {
      this.pause = element("button", { type: "button", class: "small", click: () => this.togglePause() });
      this.end = element("button", { type: "button", class: "small danger", click: () => this.askToEnd() }, "End");
      actions.append(this.pause, " ", this.end);
    }
    this.element = element("tr", { role: "row" }, head, parties, this.age, this.lost, this.queue, this.latency, actions);
  }

  show(call) {
    this.call = call;
    const name = call.call_id || call.flow;
    setText(this.link, name);
    setAttribute(this.link, "title", call.call_id ? `${call.call_id} (${call.flow})` : call.flow);
    showBadges(this.badges, call);
    this.levels.show(call.parties, call.levels, call.muted);
    setText(this.age, clock(call.age_s));
    setText(this.lost, span(call.lost_ms));
    this.lost.classList.toggle("bad", call.lost_recent_ms > 0);
    this.lost.classList.toggle("warn", call.lost_ms > 0 && !call.lost_recent_ms);
    const worst = call.worst_queue;
    setText(this.queue, worst ? `${span(worst.ms)} (${worst.node})` : NONE);
    this.queue.classList.toggle("bad", Boolean(worst && worst.limit_ms && worst.ms > FULL * worst.limit_ms));
    setText(this.latency, span(call.latency_ms));
    if (!this.pause) return;
    const word = call.paused ? "Resume" : "Pause";
    setText(this.pause, word);
    setAttribute(this.pause, "aria-label", `${word} call ${name}`);
    setAttribute(this.end, "aria-label", `End call ${name}`);
  }

  async togglePause() {
    const { flow, paused, call_id: id } = this.call;
    await command(ofCall(flow, paused ? "resume" : "pause"), (answer) =>
      `${id || flow} ${answer.paused ? "is paused: silence is recorded" : "goes on"}.`);
    updates.now();
  }

  async askToEnd() {
    const { flow, call_id: id } = this.call;
    if (!(await confirmed(`End the call ${id || flow} now?`, "End the call"))) return;
    await command(ofCall(flow, "end"), () => `${id || flow} ends.`);
    updates.now();
  }
}

function cell(label, kind) {
  return element("td", { role: "cell", class: kind, "data-label": label });
}

const rows = new KeyedList(at("rows"), (call) => call.flow, (call) => new Row(call));
const tiles = new Facts(at("summary"));
const processes = new KeyedList(at("processes"), (one) => one.worker, () => {
  const cells = ["", "number", "number", "number", "", ""].map((kind) => element("td", kind ? { class: kind } : {}));
  return {
    element: element("tr", {}, ...cells),
    show(one) {
      const busy = one.slot_busy_ms === null ? NONE : `${span(one.slot_busy_ms)} of ${span(one.slot_ms)}`;
      const cpu = one.cpu === null ? NONE : `${Math.round(100 * one.cpu)} %`;
      const values = [String(one.worker), count(one.calls), cpu, busy, one.version, one.not_ready ? `no: ${one.not_ready}` : "yes"];
      values.forEach((value, number) => setText(cells[number], value));
    },
  };
});

function show(live) {
  const { run, calls, matched } = live;
  const missing = live.missing.length ? `No answer from worker ${live.missing.join(", ")}: its calls are not shown.` : "";
  showState("live", missing || (run.draining ? "This flowcore takes no more calls: it ends with the last one." : ""));
  tiles.show([
    ["Live calls", `${count(run.calls)} of ${count(run.limit)}`],
    ["Room for", capacity ? counted(capacity.until_full, "more call") : NONE, capacity?.until_full === 0 ? "bad" : ""],
    ["Lost", span(run.lost_ms), run.lost_ms ? "warn" : ""],
    ["Failed calls", count(run.failed), run.failed ? "bad" : ""],
    ["Refused calls", count(run.refused), run.refused ? "warn" : ""],
    ["Ended calls", count(run.ended)],
  ]);
  if (offset && offset >= matched) {
    offset = 0;
    return updates.now();
  }
  const body = at("rows");
  rows.show(calls, body.contains(document.activeElement) || body.matches(":hover"));
  setHidden(at("calls"), !calls.length);
  setHidden(at("empty"), calls.length > 0);
  setText(at("empty"), match ? `No live call has an id with “${match}” in it.` : "No calls now. They appear here when they begin.");
  setHidden(at("pager"), matched <= PAGE);
  setText(at("range"), `${offset + 1}–${offset + calls.length} of ${counted(matched, "call")}`);
  at("earlier").disabled = !offset;
  at("later").disabled = offset + calls.length >= matched;
  processes.show(live.processes);
  setHidden(at("workers"), live.processes.length < 2);
}

function search() {
  const query = new URLSearchParams({ sort: at("sort").value, limit: PAGE, offset, match, levels: true });
  return request(`v1/live?${query}`);
}

let typing;
at("match").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    match = at("match").value.trim();
    offset = 0;
    updates.now();
  }, TYPING);
});
at("sort").addEventListener("change", () => {
  offset = 0;
  updates.now();
});
at("tools").addEventListener("submit", (event) => event.preventDefault());
for (const [id, step] of [["earlier", -PAGE], ["later", PAGE]]) {
  at(id).addEventListener("click", () => {
    offset = Math.max(0, offset + step);
    updates.now();
  });
}

scopes = await begin();
const updates = poll({ ask: search, show, fail: showProblem });
poll({
  ask: () => request("v1/capacity"),
  show: (answer) => (capacity = answer),
  fail: () => (capacity = null), // the other question tells why
  every: CAPACITY_EVERY,
});
