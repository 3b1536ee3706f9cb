// Signing in: the token is sent once, and kept nowhere in the page.

import { Problem, request } from "./api.js";
import { at, setText } from "./dom.js";
import { sentence } from "./shell.js";

const PAGES = ["", "ended", "graph", "call"];

/** Where to go then: a page of the dashboard, and nothing else that an address could name. */
function wanted() {
  const [page, part = ""] = decodeURIComponent(location.hash.slice(1)).split("#", 2);
  if (!PAGES.includes(page)) return "./";
  return (page || "./") + (part && `#${part}`);
}

at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = at("token");
  at("submit").disabled = true;
  try {
    await request("dashboard/session", { method: "POST", body: { token: token.value.trim() } });
    location.replace(wanted());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const wrong = error.status === 401 || error.status === 422;
    setText(at("wrong"), wrong ? "This is not the token of this flowcore." : sentence(error.message));
    token.value = "";
    token.setAttribute("aria-invalid", "true");
    token.focus();
  } finally {
    at("submit").disabled = false;
  }
});

at("submit").disabled = false; // only now would the form be sent by this script

request("dashboard/session").then(
  (session) => session.signed_in && location.replace(wanted()),
  () => undefined, // the form says so when it is sent
);
