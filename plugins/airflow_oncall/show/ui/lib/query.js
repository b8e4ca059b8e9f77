/** The filters of a list of incidents, kept in the page's address so that it can be shared and survives a reload. Pure. */

import { YEARS } from "./words.js";

/** Filters that take several values, any of which fits; in the address and for the API the parameter is repeated. */
const SEVERAL = ["state", "category", "severity", "source", "dag_id"];
const SINGLE = ["storm_id", "q", "open", "since", "until", "cursor"];
const HOURS = { "1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24 };
export const ANY_TIME = "";
export const BETWEEN = "between";

/** Choices of the time filter, by what stands in the address. */
export const TIMES = {
  [ANY_TIME]: "Any time",
  "1h": "Last hour",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
  [BETWEEN]: "Between",
};

/**
 * The filters that an address holds; open incidents where it says nothing.
 * @param {URLSearchParams} params
 * @returns {Record<string, any>} a list for each filter that takes several values, a text for each other
 */
export function filtersOf(params) {
  const several = SEVERAL.map((name) => [name, [...new Set(params.getAll(name).filter(Boolean))]]);
  const single = [...SINGLE, "within"].map((name) => [name, params.get(name) ?? ""]);
  const found = Object.fromEntries([...several, ...single]);
  if (!params.has("open") && !found.state.length) found.open = "true";
  return found;
}

/**
 * The address with filters changed. A changed filter begins at the first page; other parts of the address stay.
 * @param {URLSearchParams} params @param {Record<string, any>} changes
 */
export function changed(params, changes) {
  const next = new URLSearchParams(params);
  if (!("cursor" in changes)) next.delete("cursor");
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    for (const one of [value].flat()) if (one || name === "open") next.append(name, one);
  }
  return next;
}

/**
 * What the API is asked.
 * @param {Record<string, any>} filters @param {number} now milliseconds, by the server's clock
 * @returns {Record<string, any>}
 */
export function asked(filters, now) {
  const wanted = Object.fromEntries([...SEVERAL, ...SINGLE].map((name) => [name, filters[name]]).filter(([, value]) => value?.length));
  if (wanted.open === "any") delete wanted.open;
  const hours = HOURS[filters.within];
  if (hours) wanted.since = new Date(now - hours * 3_600_000).toISOString();
  return wanted;
}

/**
 * What is chosen after a choice that was made by what was shown, which an earlier choice may not have reached yet.
 * @param {string[]} chosen the newest choice @param {string[]} shown what the list went by @param {string[]} next what it makes of it
 */
export function chosenAfter(chosen, shown, next) {
  const kept = chosen.filter((one) => next.includes(one) || !shown.includes(one));
  return [...kept, ...next.filter((one) => !shown.includes(one) && !kept.includes(one))];
}

/** Whether anything is filtered. @param {Record<string, any>} filters */
export function isFiltered(filters) {
  const others = ["storm_id", "q", "since", "until", "within"];
  return [...SEVERAL, ...others].some((name) => filters[name].length > 0) || filters.open !== "true";
}

/** A moment as a date-and-time field has it, in the reader's zone. @param {string} at ISO 8601 or empty */
export function fieldOf(at) {
  if (!at || Number.isNaN(Date.parse(at))) return "";
  const moment = new Date(at);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** What a date-and-time field says, in UTC; empty where the API takes no such time, as while its year is typed. @param {string} field */
export function momentOf(field) {
  const moment = new Date(field);
  const [first, last] = YEARS;
  const year = moment.getUTCFullYear(); // of no date it is NaN
  return year >= first && year <= last ? moment.toISOString() : "";
}
