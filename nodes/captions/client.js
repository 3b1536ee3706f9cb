// The captions page: a feed of texts in, lines on the page out. What was spoken is only ever text, never markup.
"use strict";

const FIRST_RETRY = 500; // ms; doubled each time
const LONGEST_RETRY = 10000;
const SILENCE = 40000; // ms without a message (the server has one every 15 s) after which the feed is dead
const MOST = 1000; // lines on the page, as many as the server keeps
const READ_ALOUD = 20; // lines that a screen reader may still have to read

const NAMES = { agent: "Agent", customer: "Customer" };
const STATES = {
  connecting: "Connecting",
  waiting: "Waiting for the call",
  live: "Live",
  ended: "Call ended",
  reconnecting: "Reconnecting",
  denied: "No access",
};

const at = (id) => document.getElementById(id);
const scroll = at("scroll"), lines = at("lines"), empty = at("empty"), latest = at("latest"), spoken = at("spoken");
const shown = new Map(); // lines by id

let call; // its id, once the server has said it
let ready = false; // the first history is there: from now on lines are news, to be read aloud
let following = true; // the end stays in view until the reader scrolls up
let retry = FIRST_RETRY;
let watchdog;

function tell(state) {
  if (at("state").dataset.state === state) return;
  at("state").dataset.state = state;
  at("state").textContent = STATES[state];
  empty.textContent = { ended: "Nothing was said", waiting: "The captions begin with the call" }[state] ?? "Waiting for the first words";
}

// A server that is gone, or has forgotten the call, changes nothing about a call that has ended.
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

// Lines stand in the order of their beginning: the words of one party may come later than the other's.
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
  const words = text.gap ? "not transcribed" : text.text;
  if (!words) return remove(text.id);
  let item = shown.get(text.id);
  if (!item) {
    item = document.createElement("li");
    const name = NAMES[text.track] ?? text.track;
    item.append(element("time", ""), element("span", name, "who"), element("p", ""));
    item.dataset.track = text.track;
    item.lastChild.dir = "auto";
    item.firstChild.dateTime = `PT${text.start}S`;
    item.firstChild.textContent = clock(text.start);
    shown.set(text.id, item);
    place(item, text.start);
    dress(item);
    dress(item.nextElementSibling);
    if (shown.size > MOST) remove(shown.keys().next().value);
  }
  const said = item.lastChild, wasInterim = item.classList.contains("interim") || !said.textContent;
  if (said.textContent !== words) said.textContent = words;
  item.classList.toggle("interim", !text.final);
  item.classList.toggle("gap", Boolean(text.gap));
  if (text.final && wasInterim && ready) {
    spoken.append(element("p", `${NAMES[text.track] ?? text.track}: ${words}`));
    while (spoken.childElementCount > READ_ALOUD) spoken.firstChild.remove();
  }
}

function sessions(starts) {
  starts.slice(1).forEach((start) => {
    const id = `session ${start}`;
    if (shown.has(id)) return;
    const item = element("li", `The call goes on at ${clock(start)}`, "divider");
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
  if (!over() || news.state !== "waiting") tell(news.state);
}

function receive(message) {
  const news = JSON.parse(message.data);
  if (news.event === "state") state(news);
  else if (news.event === "text") show(news);
  else if (news.event === "ready") ready = true;
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
    watchdog = setTimeout(() => socket.close(), SILENCE);
  };
  let opened = false;
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
    if (!over()) tell("reconnecting");
    if (!opened && (await denied())) return tell("denied");
    setTimeout(connect, retry * (0.5 + Math.random()));
    retry = Math.min(2 * retry, LONGEST_RETRY);
  };
}

// A browser does not say why a WebSocket was refused; the page itself can be asked.
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
