// The page of the graph: its picture with numbers on its wires, and its nodes.

import { poll, request } from "./api.js";
import { at, setAttribute, setHidden, setText, shape } from "./dom.js";
import { counted, rate, span } from "./format.js";
import { NodeTable, Rates } from "./nodes.js";
import { begin, showProblem, showState } from "./shell.js";

const FULL = 0.5; // share of its bound at which a queue is marked

const nodes = new NodeTable(at("nodes"));
let rates = new Rates();
let version;
let numbers = new Map(); // the texts of the picture that change, by what they stand at

/** Draw the picture that the server laid out. */
function draw(drawing) {
  numbers = new Map();
  const { width, height } = drawing;
  const picture = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "The graph; the table below has its numbers" });
  const arrow = shape("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7.5, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" });
  arrow.append(shape("path", { d: "M0,0 L8,4 L0,8 z", class: "tip" }));
  picture.append(shape("defs", {}, arrow));
  for (const { kind, x, y, ...part } of drawing.shapes) {
    if (part.text !== undefined) {
      picture.append(shape("text", { class: kind, x, y }, part.text));
    } else if (part.path !== undefined) {
      picture.append(shape("path", { class: kind, d: part.path, "marker-end": part.arrow ? "url(#arrow)" : null }));
    } else {
      const box = shape("rect", { class: kind, x, y, width: part.width, height: part.height, rx: part.radius });
      picture.append(box);
      if (!["label", "queue"].includes(kind)) continue;
      const text = shape("text", { class: "small live", x: x + part.width / 2, y: y + part.height - (kind === "queue" ? 7 : 4) });
      numbers.set(`${kind} ${part.name}`, { box, text });
    }
  }
  for (const { text } of numbers.values()) picture.append(text); // above all boxes
  const frame = at("picture");
  frame.replaceChildren(picture);
  frame.scrollLeft = (frame.scrollWidth - frame.clientWidth) / 2;
}

/** Put numbers at the wires and into the queues. */
function number(listed) {
  const byName = new Map(listed.map(([node, rates]) => [node.name, { node, rates }]));
  for (const [place, { box, text }] of numbers) {
    const [kind, name] = place.split(/ (.*)/);
    if (kind === "queue") {
      const queue = byName.get(name)?.node.queue;
      setText(text, queue ? span(queue.ms) : "");
      box.classList.toggle("full", Boolean(queue && queue.limit_ms && queue.ms > FULL * queue.limit_ms));
    } else setText(text, onWire(name, byName));
  }
}

/** What goes through an output: what the only node behind it takes in, or else all that its node gives. */
function onWire(output, byName) {
  const source = byName.get(output.split(".")[0]);
  const behind = [...byName.values()].filter(({ node }) => node.inputs.includes(output));
  const [only] = behind.filter(({ node }) => node.inputs.length === 1);
  if (only) return flowText(only.rates("in"), only.rates("inMs"));
  return source && !output.includes(".") ? flowText(source.rates("out"), source.rates("outMs")) : "";
}

function flowText(chunks, ms) {
  if (chunks === null) return "";
  return ms ? `${rate(chunks)} · ${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} ×` : rate(chunks);
}

async function ask() {
  const live = await request("v1/live?limit=1&nodes=true&levels=false");
  if (live.run.version !== version) {
    const drawing = await request("dashboard/drawing");
    rates = new Rates();
    version = live.run.version;
    draw(drawing);
    setText(at("version"), `Version ${version}, for new calls`);
  }
  return live;
}

function show(live) {
  showState("live", live.missing.length ? `No answer from worker ${live.missing.join(", ")}: its numbers are missing.` : "");
  const listed = live.nodes.map((node) => [node, rates.of(node, live.at)]);
  nodes.show(listed);
  number(listed);
  const others = Object.entries(live.run.versions).filter(([name]) => name !== version).reduce((sum, [, calls]) => sum + calls, 0);
  setHidden(at("others"), !others);
  setText(at("others"), `${counted(others, "call")} on an earlier version of the graph; the numbers are those of all versions.`);
  setAttribute(at("picture"), "data-version", version);
}

await begin();
poll({ ask, show, fail: showProblem });
