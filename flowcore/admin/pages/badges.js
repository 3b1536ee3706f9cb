// The states of a call that are not the usual one.

import { element } from "./dom.js";

/** Show them; what is shown already stays. */
export function showBadges(container, call) {
  const badges = [
    call.state !== "running" && ["soft", { opening: "opening", draining: "ending" }[call.state] ?? call.state],
    call.paused && ["warn", "paused"],
    call.on_hold && ["soft", "on hold"],
    ...(call.failed ?? []).map((node) => ["bad", `${node} failed`]),
  ].filter(Boolean);
  const wanted = badges.map(([, text]) => text).join();
  if (container.dataset.shown === wanted) return;
  container.dataset.shown = wanted;
  container.replaceChildren(...badges.flatMap(([kind, text]) => [element("span", { class: `badge ${kind}` }, text), " "]));
}
