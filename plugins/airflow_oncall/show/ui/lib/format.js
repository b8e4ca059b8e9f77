/** Figures, times and names as people read them. Pure. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
export const NOTHING = "–";

/**
 * How long ago a moment was, by the clock of the server.
 * @param {string} at ISO 8601
 * @param {number} now milliseconds since 1970
 */
export function ago(at, now) {
  const seconds = Math.round((now - Date.parse(at)) / 1000);
  if (Math.abs(seconds) < 45) return "just now";
  const text = span(Math.abs(seconds));
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

/** A number of seconds in its largest fitting unit. @param {number} seconds */
export function span(seconds) {
  if (seconds < 1.5 * MINUTE) return `${Math.round(seconds)} s`;
  if (seconds < 1.5 * HOUR) return `${Math.round(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) return `${Math.round(seconds / HOUR)} h`;
  return `${Math.round(seconds / DAY)} d`;
}

/** @param {number|null|undefined} minutes */
export function minutes(minutes) {
  return minutes === null || minutes === undefined ? NOTHING : span(minutes * MINUTE);
}

/** @param {number|null|undefined} share between 0 and 1 */
export function percent(share) {
  return share === null || share === undefined ? NOTHING : `${Math.round(share * 100)} %`;
}

/** An interval of shares. @param {number} low @param {number} high */
export function between(low, high) {
  return `${Math.round(low * 100)}–${Math.round(high * 100)} %`;
}

/** A figure with as many digits as it deserves. @param {unknown} value */
export function figure(value) {
  if (value === null || value === undefined || value === "") return NOTHING;
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
}

/** `network_timeout` as `network timeout`. @param {string|null|undefined} name */
export function words(name) {
  return name ? name.replaceAll("_", " ") : NOTHING;
}

/** The same with a capital. @param {string|null|undefined} name */
export function title(name) {
  const text = words(name);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `1 incident`, `2 incidents`. @param {number} number @param {string} noun */
export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** A moment in the reader's time zone, which it names. @param {string} at */
export function moment(at) {
  const shown = { dateStyle: "medium", timeStyle: "medium" };
  const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" })
    .formatToParts(new Date(at))
    .find((part) => part.type === "timeZoneName");
  return `${new Intl.DateTimeFormat("en-GB", shown).format(new Date(at))} ${zone?.value ?? ""}`.trim();
}

/** A moment in UTC, as logs have it. @param {string} at */
export function utc(at) {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/**
 * What is in trouble, in one line.
 * @param {{dag_id: string, task_id: string, map_index: number}} row
 */
export function subject(row) {
  const task = row.task_id ? ` › ${row.task_id}` : "";
  return `${row.dag_id}${task}${row.map_index >= 0 ? ` [${row.map_index}]` : ""}`;
}

/** A value of a JSON object, in one line. @param {unknown} value */
export function plain(value) {
  if (Array.isArray(value)) return value.length ? value.map(plain).join(", ") : NOTHING;
  if (value === null || typeof value !== "object") return typeof value === "boolean" ? (value ? "yes" : "no") : figure(value);
  return (
    Object.entries(value)
      .map(([name, one]) => `${words(name)} ${plain(one)}`)
      .join(", ") || NOTHING
  );
}
