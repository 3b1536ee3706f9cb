// Requests to the admin API, with the session of this browser.

const ROOT = new URL("..", location.href); // pages are in dashboard/, the API beside it
const REQUEST_TIMEOUT = 15_000; // ms
const FIRST_RETRY = 1000; // ms; doubled each time
const MAX_RETRY = 8000;

/** An answer that is an error: `detail` is one line for people, `status` is 0 where nothing answered. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function send(path, method, body, headers, signal) {
  const options = { method, cache: "no-store", credentials: "same-origin", headers: { ...headers }, signal };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(new URL(path, ROOT), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "flowcore does not answer");
  }
  if (answer.ok) return answer;
  let detail = `flowcore answered ${answer.status}`;
  try {
    detail = (await answer.json()).detail || detail;
  } catch {
    // no problem of ours: a proxy answered
  }
  throw new Problem(answer.status, detail);
}

/** Ask, and return the JSON of the answer. Throws a `Problem`. */
export async function request(path, { method = "GET", body } = {}) {
  const answer = await send(path, method, body, {}, AbortSignal.timeout(REQUEST_TIMEOUT)).catch((error) => {
    throw error instanceof Problem ? error : new Problem(0, "flowcore does not answer in time");
  });
  return answer.json();
}

/** Open an answer that streams, until `signal` ends it. Throws a `Problem`. */
export function stream(path, { headers = {}, signal }) {
  return send(path, "GET", undefined, headers, signal);
}

/** Ask for the path of a call's operation. */
export function ofCall(flow, operation = "") {
  return `v1/calls/${encodeURIComponent(flow)}${operation && `/${operation}`}`;
}

/**
 * Ask again and again while the page is in view. `ask` returns a promise; `show` gets its result, `fail` the `Problem`.
 * The next question comes `every` ms after an answer, so a slow server is asked less often. `now` asks at once.
 */
export function poll({ ask, show, fail, every = 1000 }) {
  let timer, retry = FIRST_RETRY, turn = 0, stopped = false;
  async function next() {
    clearTimeout(timer);
    const mine = ++turn;
    if (stopped || document.hidden) return;
    let wait = every;
    try {
      const answer = await ask();
      if (mine !== turn) return; // asked again meanwhile
      retry = FIRST_RETRY;
      show(answer);
    } catch (error) {
      if (mine !== turn) return;
      if (!(error instanceof Problem)) throw error;
      fail(error);
      wait = retry * (0.75 + Math.random() / 2);
      retry = Math.min(2 * retry, MAX_RETRY);
    }
    if (!stopped) timer = setTimeout(next, wait);
  }
  document.addEventListener("visibilitychange", next);
  next();
  return {
    now: next,
    stop() {
      stopped = true;
      turn += 1;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", next);
    },
  };
}
