// The part of a call's page that shows a live call: its figures, its controls, its audio and its words.

import { ofCall, Problem, request, stream } from "./api.js";
import { showBadges } from "./badges.js";
import { at, element, KeyedList, setAttribute, setHidden, setText } from "./dom.js";
import { Facts } from "./facts.js";
import { clock, moment, NONE, partyName, span } from "./format.js";
import { Levels } from "./levels.js";
import { NodeTable, Rates } from "./nodes.js";
import { Player } from "./player.js";
import { command, confirmed, sentence } from "./shell.js";
import { Timeline } from "./timeline.js";
import { Words } from "./words.js";

export class LiveCall {
  #rates = new Rates();
  #facts = new Facts(at("facts"));
  #nodes = new NodeTable(at("nodes"));
  #timeline = new Timeline(at("timeline"), at("stretches"));
  #words = new Words(at("words"));
  #levels = new Levels(at("heard"));
  #heard = {};
  #player = null;
  #controls = null;
  #ended = false;

  constructor(flow, scopes, changed) {
    this.flow = flow;
    this.scopes = scopes;
    this.changed = changed;
    this.events = new KeyedList(at("events"), (event) => event.key, eventLine);
    at("listen-button").addEventListener("click", () => this.#toggleListening());
    at("follow-words").addEventListener("click", () => this.#followWords());
  }

  show({ at: seconds, call, nodes, timeline, events }) {
    this.call = call;
    setText(at("title"), call.call_id || call.flow);
    document.title = `${call.call_id || call.flow} – flowcore`;
    showBadges(at("badges"), call);
    this.#showControls();
    setHidden(at("listen"), false);
    if (!this.#player) this.#levels.show(call.parties, call.levels, silenced(call));
    const worst = call.worst_queue;
    this.#facts.show([
      ["Age", clock(call.age_s)],
      ["Lost", span(call.lost_ms), call.lost_recent_ms ? "bad" : call.lost_ms ? "warn" : ""],
      ["Fullest queue", worst ? `${span(worst.ms)} (${worst.node})` : NONE],
      ["Latency", span(call.latency_ms)],
      ["Longest wait", span(call.delay_ms)],
      ["Began", moment(call.since)],
    ]);
    this.#timeline.show(timeline.until_s, parties(call, timeline), stretches(timeline));
    showLegend(timeline.talk_since_s === null ? null : timeline.talk_since_s);
    setHidden(at("nodes-section"), false);
    this.#nodes.show(nodes.map((node) => [node, this.#rates.of(node, seconds)]));
    setHidden(at("events-section"), !events.length);
    this.events.show(events.map((event) => ({ ...event, key: JSON.stringify(event) })).reverse());
    this.#offerWords(nodes);
    setHidden(at("about-section"), false);
    this.about ??= new Facts(at("about"));
    this.about.show([["Flow", call.flow], ["Worker", String(call.worker)], ["Graph", call.version]]);
  }

  /** The call is over. What was live on the page goes. */
  end() {
    if (this.#ended) return;
    this.#ended = true;
    for (const id of ["controls", "nodes-section", "follow-words", "listen-button", "heard"]) setHidden(at(id), true);
    setHidden(at("listen"), !this.#player && !at("listening").textContent);
    showBadges(at("badges"), { state: "ended" });
    this.following?.abort();
  }

  #showControls() {
    if (!this.scopes.has("control")) return;
    setHidden(at("controls"), false);
    this.#controls ??= new Controls(at("controls"), this.flow, this.changed);
    this.#controls.show(this.call);
  }

  #toggleListening() {
    if (this.#player) {
      this.#player.stop();
      return;
    }
    if (!this.scopes.has("listen")) {
      setText(at("listening"), "Listening needs the token of FLOWCORE_ADMIN_TOKEN.");
      return;
    }
    this.#heard = {};
    this.#player = new Player({
      heard: (track, level) => {
        this.#heard[track] = level;
        this.#levels.show(this.call.parties, this.#heard, silenced(this.call));
      },
      behind: (seconds, played) => {
        at("listen").dataset.played = played.toFixed(2);
        const left = this.#player?.lost ? `; ${this.#player.lost} pieces were left out, because the connection is slow` : "";
        setText(at("behind"), seconds === null ? "nothing to play now" : `${seconds.toFixed(1)} s behind${left}`);
      },
      ended: (why) => {
        this.#player = null;
        setText(at("listening"), why && sentence(why));
        setText(at("behind"), "");
        this.#showListening(false);
      },
    });
    setText(at("listening"), "Listening.");
    this.#showListening(true);
    this.#player.play(this.flow);
  }

  #showListening(on) {
    setText(at("listen-button"), on ? "Stop listening" : "Listen");
    at("listen").classList.toggle("on", on);
  }

  async #offerWords(nodes) {
    this.plan ??= request("v1/graph").then(({ plan }) => plan);
    const steps = (await this.plan.catch(() => ({ chains: [] }))).chains.flatMap((chain) => chain.nodes);
    const texts = steps.filter((step) => Object.values(step.gives).some((form) => form.startsWith("text")));
    this.source = texts.map((step) => step.name).findLast((name) => nodes.some((node) => node.name === name));
    if (this.#ended) return;
    setHidden(at("words-section"), !this.source);
    setHidden(at("follow-words"), !this.source || !this.scopes.has("listen") || Boolean(this.following));
  }

  async #followWords() {
    this.following = new AbortController();
    setHidden(at("follow-words"), true);
    note("Words from now on. All words are here once the call has ended.");
    try {
      const answer = await stream(`${ofCall(this.flow, "tap")}?node=${encodeURIComponent(this.source)}`, { signal: this.following.signal });
      const decoder = new TextDecoder();
      let rest = "";
      for (let reader = answer.body.getReader(), part; !(part = await reader.read()).done; ) {
        const lines = (rest + decoder.decode(part.value, { stream: true })).split("\n");
        rest = lines.pop();
        this.#words.take(lines.map((line) => JSON.parse(line)));
      }
    } catch (error) {
      if (!this.following.signal.aborted) note(error instanceof Problem ? sentence(error.message) : "The connection broke off.");
    }
    this.following = null;
  }
}

/** The buttons that change the call. */
class Controls {
  constructor(container, flow, changed) {
    this.flow = flow;
    this.changed = changed;
    this.pause = element("button", { type: "button", click: () => this.#do(this.call.paused ? "resume" : "pause") });
    this.parties = element("span");
    this.end = element("button", { type: "button", class: "danger", click: () => this.#end() }, "End the call");
    container.append(this.pause, " ", this.parties, this.end);
    this.mutes = new KeyedList(this.parties, (track) => track, (track) => {
      const button = element("button", { type: "button", click: () => this.#do(this.call.muted.includes(track) ? "unmute" : "mute", track) });
      return {
        element: element("span", {}, button, " "),
        show: () => setText(button, `${this.call.muted.includes(track) ? "Unmute" : "Mute"} ${partyName(track)}`),
      };
    });
  }

  show(call) {
    this.call = call;
    setText(this.pause, call.paused ? "Resume" : "Pause");
    this.mutes.show(call.parties);
  }

  async #do(operation, party) {
    const query = party ? `?party=${encodeURIComponent(party)}` : "";
    await command(ofCall(this.flow, operation) + query, (answer) => {
      const muted = answer.muted.map(partyName).join(" and ");
      if (answer.paused) return "The call is paused: silence is recorded.";
      return muted ? `${muted}: muted. Silence is recorded.` : "The audio of the call is recorded.";
    });
    this.changed();
  }

  async #end() {
    if (!(await confirmed("End this call now?", "End the call"))) return;
    await command(ofCall(this.flow, "end"), () => "The call ends.");
    this.changed();
  }
}

function eventLine() {
  const time = element("time"), name = element("strong"), fields = element("span", { class: "soft" });
  return {
    element: element("li", {}, time, " ", name, " ", fields),
    show({ key, event, level, timestamp, flow, worker, ...rest }) {
      setText(time, moment(timestamp));
      setText(name, event);
      setAttribute(name, "class", { warning: "warn", error: "bad" }[level] ?? null);
      setText(fields, Object.entries(rest).filter(([, value]) => value !== "").map(([field, value]) => `${field}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(" "));
    },
  };
}

function silenced(call) {
  return call.paused ? call.parties : call.muted;
}

function parties(call, timeline) {
  return [...new Set([...call.parties, ...timeline.gaps.map((gap) => gap.track), ...timeline.silenced.map((one) => one.track)])].filter(Boolean);
}

function stretches({ gaps, holds, silenced, talk }) {
  return [
    ...talk.map((one) => ({ ...one, kind: "talk" })),
    ...holds.map((one) => ({ ...one, kind: "hold" })),
    ...silenced.map((one) => ({ ...one, kind: "silenced" })),
    ...gaps.map((one) => ({ ...one, kind: one.lost ? "lost" : "filled", text: `${one.node}: ${one.reason}` })),
  ];
}

function note(text) {
  setHidden(at("words-note"), !text);
  setText(at("words-note"), text);
}

function showLegend(since) {
  setHidden(at("talk-since"), !since);
  setText(at("talk-since"), since ? `Talk is known from ${clock(since)} on: it is measured while somebody looks.` : "");
}
