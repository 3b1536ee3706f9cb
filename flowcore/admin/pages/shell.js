// What all pages have in common: the session, the state of the connection, and messages.

import { Problem, request } from "./api.js";
import { at, setText } from "./dom.js";

const STATES = { connecting: "Connecting", live: "Live", ended: "Ended", lost: "No connection" };
const RETRY = 2000; // ms

const SAID = 10_000; // ms

let state = "connecting";
let saying;

/** Show the state of the connection. A screen reader hears only changes. */
export function showState(wanted, detail = "") {
  if (wanted !== state) {
    state = wanted;
    at("state").dataset.state = wanted;
    at("main").classList.toggle("stale", wanted === "lost");
    setText(at("state"), STATES[wanted]);
  }
  at("notice").hidden = !detail;
  setText(at("notice"), detail);
}

/** Show that a question was not answered. Without a session, go and sign in. */
export function showProblem(problem) {
  if (problem.status === 401) return signIn();
  const engine = problem.status === 503 || problem.status === 0;
  showState("lost", engine ? `${sentence(problem.message)} This page tries again by itself.` : sentence(problem.message));
}

/** Say once, for a while, what came of a command. */
export function say(text, bad = false) {
  clearTimeout(saying);
  if (text) saying = setTimeout(() => say(""), SAID);
  const told = at("told");
  told.className = bad ? "bad" : "";
  setText(told, text);
}

/** Return what the session of this browser may do, once there is one. */
export async function begin() {
  for (;;) {
    try {
      const session = await request("dashboard/session");
      if (!session.signed_in) return signIn();
      at("sign-out").hidden = !session.needs_token;
      at("sign-out").addEventListener("click", signOut);
      return new Set(session.scopes);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      showProblem(error);
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  }
}

/** Carry out a command; says what came of it. Returns the answer, or undefined. */
export async function command(path, done) {
  try {
    const answer = await request(path, { method: "POST" });
    say(done(answer));
    return answer;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) return signIn();
    say(sentence(error.message), true);
  }
}

/** Ask a question that a slip of the hand must not answer. Returns whether it was answered with yes. */
export function confirmed(question, yes) {
  const dialog = at("confirm");
  setText(at("question"), question);
  setText(at("yes"), yes);
  dialog.returnValue = "";
  dialog.showModal();
  at("no").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", function closed() {
      if (dialog.open) return; // it is late, and tells of the question before
      dialog.removeEventListener("close", closed);
      resolve(dialog.returnValue === "yes");
    });
  });
}

export function sentence(text) {
  const whole = text.trim(), first = whole.startsWith("flowcore") ? "f" : whole[0]?.toUpperCase() ?? "";
  return `${first}${whole.slice(1)}${/[.!?:]$/.test(whole) ? "" : "."}`;
}

async function signOut() {
  await request("dashboard/session", { method: "DELETE" }).catch(() => undefined);
  signIn();
}

function signIn() {
  const here = location.pathname.slice(location.pathname.lastIndexOf("/") + 1) + location.hash;
  location.replace(`sign-in#${encodeURIComponent(here)}`);
  return new Promise(() => {}); // the page is left
}
