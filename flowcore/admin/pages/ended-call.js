// The part of a call's page that shows an ended call: its row of the call log, and what its files tell.

import { Problem, request } from "./api.js";
import { at, element, setHidden, setText } from "./dom.js";
import { Facts } from "./facts.js";
import { bytes, clock, count, moment, NONE, partyName, span } from "./format.js";
import { lossText } from "./losses.js";
import { Timeline } from "./timeline.js";
import { Words } from "./words.js";

const PAUSED = "paused"; // the reason of what an operator silenced, which the call log has too

export class EndedCall {
  constructor(flow, scopes) {
    this.flow = flow;
    this.scopes = scopes;
  }

  async show(call) {
    setText(at("title"), call.call_id || call.flow);
    document.title = `${call.call_id || call.flow} – flowcore`;
    for (const id of ["facts", "timeline", "stretches", "about"]) at(id).replaceChildren(); // what was live
    const failed = (call.failures ?? []).map((failure) => `${failure.node} (${failure.error})`);
    const facts = [
      ["Length", clock(call.seconds)],
      ["Why it ended", call.reason ?? NONE, ["killed", "node_failed"].includes(call.reason) ? "bad" : ""],
      ["Lost", span(call.lost_ms), call.lost_ms ? "warn" : ""],
      ["Longest wait", span(call.delay_ms)],
      ["Words", count(call.words)],
      ["Began", moment(call.started)],
      ["Ended", moment(call.ended)],
    ];
    if (call.lost_ms) facts.push(["Lost by", lossText(call.lost), "long"]);
    if (failed.length) facts.push(["Failed nodes", failed.join(", "), "bad long"]);
    new Facts(at("facts")).show(facts);
    const texts = await this.#words();
    const parties = shownParties(call, texts);
    const stretches = [...talk(call, texts), ...silent(call), ...gaps(call)];
    new Timeline(at("timeline"), at("stretches")).show(call.seconds ?? 0, parties, stretches);
    setHidden(at("talk-since"), true);
    this.#showWords(call, texts);
    this.#showFiles(call);
    const ids = { ...call.ids, ...call.attributes };
    setHidden(at("about-section"), false);
    new Facts(at("about")).show([
      ["Flow", call.flow],
      ...Object.entries(ids).map(([name, value]) => [name, String(value)]),
      ...(call.agents ?? []).map((agent, number) => [`Agent ${number + 1}`, agent.name ?? agent.agent_id ?? NONE]),
      ["Graph", `${call.graph ?? NONE} (SHA-256 ${(call.graph_sha256 ?? "").slice(0, 12)})`],
      ["flowcore", call.flowcore ?? NONE],
      ["Machine", call.host ?? NONE],
    ]);
  }

  /** The texts; null where there are none, undefined where this session may not read them. */
  async #words() {
    if (!this.scopes.has("listen")) return undefined;
    try {
      return (await request(`v1/ended/${encodeURIComponent(this.flow)}/words`)).texts;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return null;
    }
  }

  #showWords(call, texts) {
    const expected = call.words !== null || Boolean(texts?.length);
    setHidden(at("words-section"), !expected);
    setHidden(at("follow-words"), true);
    const words = new Words(at("words"));
    at("words").replaceChildren();
    words.take(texts ?? []);
    const why = texts === undefined
      ? "The words need the token of FLOWCORE_ADMIN_TOKEN."
      : texts === null && "There is no transcript in JSON lines on this machine: transcript_file writes one to a path that ends with .jsonl.";
    setHidden(at("words-note"), !why && texts.length > 0);
    setText(at("words-note"), why || "Nobody spoke.");
  }

  #showFiles(call) {
    setHidden(at("files-section"), false);
    const lines = call.files.map((file) => fileLine(file, call));
    at("files").replaceChildren(...(lines.length ? lines : [element("li", { class: "soft" }, "This call left no file.")]));
  }
}

function fileLine(file, call) {
  const about = file.about ?? {};
  const facts = [
    file.bytes === null ? (call.files_here ? "not there any more" : `on ${call.host}`) : bytes(file.bytes),
    about.seconds !== undefined && about.seconds !== null && clock(about.seconds),
    about.parties && !Array.isArray(about.parties) ? null : about.parties?.map(partyName).join(" and "),
    about.complete === true && "complete",
    about.complete === false && `not complete${about.end && about.end !== "call" ? ` (${about.end})` : ""}`,
  ].filter(Boolean);
  return element(
    "li",
    {},
    element("code", { class: "path" }, file.path),
    element("span", { class: about.complete === false || file.bytes === null ? "warn" : "soft" }, facts.join(" · ")),
    element("code", { class: "sum", title: "SHA-256" }, file.sha256 ?? "no checksum"),
  );
}

function shownParties(call, texts) {
  return [...new Set([...(call.parties ?? []), ...(texts ?? []).map((text) => text.track)])].filter(Boolean);
}

/** When each party spoke: by the levels of recordings, or else by the times of texts. */
function talk(call, texts) {
  const spoken = call.talk ?? (texts ?? []).filter((text) => !text.gap);
  return spoken.map(({ track, start, end }) => ({ kind: "talk", track, start, end }));
}

function silent(call) {
  const holds = unique(call.files.flatMap((file) => file.about?.holds ?? []));
  return [
    ...holds.map(({ start, end }) => ({ kind: "hold", track: "", start, end })),
    ...(call.silenced ?? []).map(([track, start, end]) => ({ kind: "silenced", track, start, end })),
  ];
}

/** The places of losses: from the metadata of files, or else where the call log says that they lie. */
function gaps(call) {
  const known = call.files.flatMap(({ about }) => (about?.gaps ?? []).map((gap) => ({ ...gap, words: about.transcript !== undefined })));
  if (known.length) {
    const shown = known.map(({ track, start, end, seconds, node, reason, words }) => ({
      kind: words && !node ? "filled" : "lost", // speech without words is no lost audio
      track: track ?? "",
      start,
      end,
      ms: (seconds ?? end - start) * 1000,
      text: node ? `${node}: ${reason}` : reason,
    }));
    return unique(shown.filter((gap) => gap.text !== PAUSED), placeOf); // recordings and transcripts tell the same ones
  }
  return Object.entries(call.lost_between ?? {}).flatMap(([node, reasons]) =>
    Object.entries(reasons).map(([reason, [start, end]]) => ({ kind: "lost", track: "", start, end, text: `${node}: ${reason}, somewhere in between` })),
  );
}

function unique(list, key = JSON.stringify) {
  return [...new Map(list.map((one) => [key(one), one])).values()];
}

function placeOf({ track, start, end, text }) {
  return [track, start.toFixed(2), end.toFixed(2), text].join();
}
