/** Texts of logs come from anywhere. Here they become text that looks like what it is, and does nothing. */

/** Colours, cursor moves and titles of terminals: they say nothing on a page. */
const TERMINAL = /\u001b\[[0-?]*[ -/]*[@-~]|\u009b[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;
/** What has no shape of its own, or turns the order of its neighbours around; tabs and line ends may stay. */
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** Characters of one line that are shown at first. */
const LINE_CHARACTERS = 400;

/**
 * The text without terminal sequences, with every other control, bidirectional or unseen character written as its code.
 * @param {string} text
 * @returns {string}
 */
export function inert(text) {
  return text.replace(TERMINAL, "").replaceAll("\r\n", "\n").replace(UNSEEN, codePoint);
}

/**
 * A whole answer of an API with all its texts and names made inert.
 * @template T
 * @param {T} value
 * @returns {T}
 */
export function inertAll(value) {
  if (typeof value === "string") return inert(value);
  if (Array.isArray(value)) return value.map(inertAll);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [inert(name), inertAll(one)]));
}

/**
 * The beginning of a line, and how many characters are left out.
 * @param {string} line
 * @param {number} most
 * @returns {{shown: string, hidden: number}}
 */
export function cut(line, most = LINE_CHARACTERS) {
  if (line.length <= most) return { shown: line, hidden: 0 };
  const end = isHighSurrogate(line.charCodeAt(most - 1)) ? most - 1 : most;
  return { shown: line.slice(0, end), hidden: line.length - end };
}

function codePoint(character) {
  return `\u27e8U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

function isHighSurrogate(code) {
  return code >= 0xd800 && code <= 0xdbff;
}
