// The page of one call: first while it goes on, then as the call log and its files tell it.

import { poll, Problem, request } from "./api.js";
import { at, setHidden, setText } from "./dom.js";
import { EndedCall } from "./ended-call.js";
import { LiveCall } from "./live-call.js";
import { begin, showProblem, showState } from "./shell.js";

const flow = decodeURIComponent(location.hash.slice(1));
window.addEventListener("hashchange", () => location.reload());

/** Ask for the live call; when there is none, for the ended one. */
async function ask() {
  try {
    return { live: await request(`v1/live/${encodeURIComponent(flow)}`) };
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
  }
  try {
    return { ended: await request(`v1/ended/${encodeURIComponent(flow)}`) };
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
    return {};
  }
}

function show({ live, ended }) {
  setHidden(at("call"), !live && !ended && !wasLive);
  setHidden(at("empty"), Boolean(live || ended || wasLive));
  if (live) {
    wasLive = true;
    showState("live");
    liveCall.show(live);
  } else {
    if (wasLive) liveCall.end();
    showState("ended", ended || !wasLive ? "" : "The call has ended. Where this run keeps a call log, its record appears here in some seconds.");
    if (ended) endedCall.show(ended);
    if (ended) updates.stop();
  }
  setText(at("empty"), "There is no such call: neither a live one nor one in the call log. An ended call is here some seconds after its end.");
}

let wasLive = false;
const scopes = await begin();
const liveCall = new LiveCall(flow, scopes, () => updates.now());
const endedCall = new EndedCall(flow, scopes);
const updates = poll({ ask, show, fail: showProblem });
