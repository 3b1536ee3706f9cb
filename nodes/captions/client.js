// The captions page: shows the texts of a feed as lines. Spoken words are set as text, never as markup.
"use strict";

const FIRST_RETRY = 500; // ms; doubled each time
const MAX_RETRY = 10000;
const SILENCE_TIMEOUT = 40000; // ms without a message (the server sends one every 15 s) after which the feed counts as dead
const MAX_LINES = 1000; // on the page, as many as the server keeps
const MAX_READ_ALOUD = 20; // lines queued for a screen reader

const NAMES = { agent: "Agent", customer: "Customer" };
const GAPS = { paused: "paused" }; // all others could not be transcribed
const STATES = {
  connecting: "Connecting",
  waiting: "Waiting for the call",
  ambiguous: "Several calls",
  live: "Live",
  ended: "Call ended",
  reconnecting: "Reconnecting",
  denied: "No access",
};

const at = (id) => document.getElementById(id);
const scroll = at("scroll"), lines = at("lines"), empty = at("empty"), latest = at("latest"), spoken = at("spoken");
const shown = new Map(); // lines by id

let call; // the id, once the server has sent it
let ready = false; // the past is shown: later lines are new and read aloud
let caughtUp = false; // this connection has shown the past: until then a call that ended counts as live
let current = "connecting"; // the last state that the server sent
let following = true; // keep the end in view, until the reader scrolls up
let retry = FIRST_RETRY;
let watchdog;

function showState(state) {
  if (at("state").dataset.state === state) return;
  at("state").dataset.state = state;
  at("state").textContent = STATES[state];
  empty.textContent = { ended: "No one spoke in this call", waiting: "Captions start with the call", ambiguous: "Several calls have this number: open the page with the id of one" }[state] ?? "Waiting for the first words";
}

// A call that ended stays ended, even if the server is gone or has dropped the call.
function over() {
  return at("state").dataset.state === "ended";
}

function element(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds)), two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}`;
}

// Lines are sorted by their start: the words of one party may come later than the other's.
function place(item, start) {
  item.dataset.start = start;
  let before = lines.lastElementChild;
  while (before && Number(before.dataset.start) > start) before = before.previousElementSibling;
  if (before) before.after(item);
  else lines.prepend(item);
}

function dress(item) {
  if (item?.dataset.track !== undefined)
    item.classList.toggle("first", item.previousElementSibling?.dataset.track !== item.dataset.track);
}

function remove(id) {
  const item = shown.get(id), next = item?.nextElementSibling;
  item?.remove();
  shown.delete(id);
  dress(next);
}

function show(text) {
  const words = text.gap ? GAPS[text.gap] ?? "not transcribed" : text.text;
  if (!words) return remove(text.id);
  let item = shown.get(text.id);
  if (!item) {
    item = document.createElement("li");
    const name = NAMES[text.track] ?? text.track;
    item.append(element("time", ""), element("span", name, "who"), element("span", " uncertain", "mark"), element("p", ""));
    item.dataset.track = text.track;
    item.lastChild.dir = "auto";
    item.firstChild.dateTime = `PT${text.start}S`;
    item.firstChild.textContent = clock(text.start);
    shown.set(text.id, item);
    place(item, text.start);
    dress(item);
    dress(item.nextElementSibling);
    if (shown.size > MAX_LINES) remove(shown.keys().next().value);
  }
  const said = item.lastChild, wasInterim = item.classList.contains("interim") || !said.textContent;
  if (said.textContent !== words) said.textContent = words;
  item.classList.toggle("interim", !text.final);
  item.classList.toggle("gap", Boolean(text.gap));
  item.querySelector(".mark").hidden = !text.uncertain;
  item.classList.toggle("uncertain", text.uncertain);
  said.lang = text.language;
  if (text.final && wasInterim && ready) {
    spoken.append(element("p", `${NAMES[text.track] ?? text.track}${text.uncertain ? ", uncertain" : ""}: ${words}`));
    while (spoken.childElementCount > MAX_READ_ALOUD) spoken.firstChild.remove();
  }
}

function sessions(starts) {
  starts.slice(1).forEach((start) => {
    const id = `session ${start}`;
    if (shown.has(id)) return;
    const item = element("li", `Call continues at ${clock(start)}`, "divider");
    shown.set(id, item);
    place(item, start - 0.001);
    dress(item.nextElementSibling);
  });
}

function state(news) {
  if (call !== undefined && call !== news.call) {
    lines.replaceChildren();
    shown.clear();
  }
  call = news.call;
  at("call").textContent = at("call").title = call;
  sessions(news.sessions);
  showSilent(news);
  current = news.state;
  if (caughtUp) showCurrent();
}

function showSilent(news) {
  const muted = news.muted.map((track) => NAMES[track] ?? track).join(", ");
  const told = news.paused ? "Paused" : muted ? `${muted} muted` : "";
  if (at("silent").textContent !== told) at("silent").textContent = told;
  at("silent").hidden = !told;
}

function showCurrent() {
  if (!over() || current !== "waiting") showState(current);
}

function receive(message) {
  const news = JSON.parse(message.data);
  if (news.event === "state") state(news);
  else if (news.event === "text") show(news);
  else if (news.event === "ready") {
    ready = caughtUp = true;
    showCurrent();
  }
  empty.hidden = lines.childElementCount > 0;
  follow();
}

function follow() {
  if (following) scroll.scrollTop = scroll.scrollHeight;
  latest.hidden = following;
}

async function connect() {
  const feed = new URL("client-ws" + location.search, location.href);
  feed.protocol = feed.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(feed);
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => socket.close(), SILENCE_TIMEOUT);
  };
  let opened = false;
  caughtUp = false;
  alive();
  socket.onopen = () => {
    opened = true;
    retry = FIRST_RETRY;
  };
  socket.onmessage = (message) => {
    alive();
    receive(message);
  };
  socket.onclose = async () => {
    clearTimeout(watchdog);
    if (!over()) showState("reconnecting");
    if (!opened && (await denied())) return showState("denied");
    setTimeout(connect, retry * (0.5 + Math.random()));
    retry = Math.min(2 * retry, MAX_RETRY);
  };
}

// A browser does not tell why a WebSocket was refused, but a request for the page does.
async function denied() {
  try {
    return (await fetch(location.href, { cache: "no-store" })).status === 403;
  } catch {
    return false;
  }
}

scroll.addEventListener("scroll", () => {
  following = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 24;
  latest.hidden = following;
});
latest.addEventListener("click", () => {
  following = true;
  follow();
  scroll.focus();
});
new ResizeObserver(follow).observe(scroll);
connect();
