// Values as people read them. A value that is not known is a dash.

export const NONE = "–";

/** A length of time as a clock shows it: 0:05, 1:02:03. */
export function clock(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const whole = Math.max(0, Math.floor(seconds)), two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}`;
}

/** A length of time in milliseconds, in the unit that keeps it short. */
export function span(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (Math.abs(ms) < 1000) return `${ms < 10 && ms % 1 ? ms.toFixed(1) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 600) return `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  return `${Math.round(seconds / 60)} min`;
}

export function decibels(db) {
  return db === null || db === undefined ? "silent" : `${Math.round(db)} dB`;
}

export function count(number) {
  return number === null || number === undefined ? NONE : number.toLocaleString("en");
}

/** A number and its thing: 1 call, 2 calls. */
export function counted(number, thing) {
  return `${count(number)} ${thing}${number === 1 ? "" : "s"}`;
}

export function rate(perSecond) {
  if (perSecond === null || !Number.isFinite(perSecond)) return NONE;
  return `${perSecond >= 10 || perSecond === 0 ? Math.round(perSecond) : perSecond.toFixed(1)}/s`;
}

export function bytes(number) {
  if (number === null || number === undefined) return NONE;
  const units = ["B", "KB", "MB", "GB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${unit && number < 10 ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
}

/** The time of day; with the day where that is not today. */
export function moment(text) {
  if (!text) return NONE;
  const when = new Date(text), time = when.toLocaleTimeString("en-GB");
  const two = (n) => String(n).padStart(2, "0");
  const day = `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
  return when.toDateString() === new Date().toDateString() ? time : `${day} ${time}`;
}

const NAMES = { agent: "Agent", customer: "Customer" };

export function partyName(track) {
  return track ? NAMES[track] ?? track : "All parties";
}
