// Audio that nodes left out or filled in, by reason, as one line.

import { counted, span } from "./format.js";

/** `reasons` maps a reason to its chunks and milliseconds. */
export function reasonsText(reasons) {
  return Object.entries(reasons)
    .map(([reason, tally]) => `${reason} ${tally.ms ? span(tally.ms) : counted(tally.chunks, "text")}`)
    .join(", ");
}

/** `lost` maps a node to its reasons. */
export function lossText(lost) {
  return Object.entries(lost ?? {})
    .map(([node, reasons]) => `${node}: ${reasonsText(reasons)}`)
    .join(", ");
}
