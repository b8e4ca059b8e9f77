/** Our API and Airflow's own, asked with the cookie of the signed-in user. Every text of an answer is inert. */

import { inertAll } from "./inert.js";

const OURS = new URL("../../../api/v1/", import.meta.url);
/** Where Airflow itself is served; this file is `<Airflow>/oncall/ui/<version>/lib/api.js`. */
const AIRFLOW = new URL("../../../../", import.meta.url);
let skew = 0;

/** An answer that is no success, or none at all (status 0). */
export class Failure extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {Record<string, any>} detail */
  constructor(status, code, message, detail = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

/** Now by the server's clock, which the times on the pages go by; this machine's may be wrong. */
export function serverNow() {
  return Date.now() + skew;
}

/**
 * Ask our API.
 * @param {string} path below `/oncall/api/v1/` @param {{method?: string, query?: object, body?: object, signal?: AbortSignal}} how
 * @returns {Promise<any>}
 */
export function oncall(path, how = {}) {
  return ask(new URL(path, OURS), how);
}

/**
 * Ask Airflow's public API.
 * @param {string} path below `/api/v2/` @param {{method?: string, query?: object, body?: object, signal?: AbortSignal}} how
 * @returns {Promise<any>}
 */
export function airflow(path, how = {}) {
  return ask(new URL(`api/v2/${path}`, AIRFLOW), how);
}

/** Where to sign in again and come back from. */
export function loginPage() {
  return `${new URL("api/v2/auth/login", AIRFLOW)}?next=${encodeURIComponent(globalThis.location?.href ?? "")}`;
}

async function ask(url, { method = "GET", query = {}, body, signal }) {
  for (const [name, value] of Object.entries(query)) for (const one of [value].flat()) url.searchParams.append(name, one);
  const headers = { Accept: "application/json", ...(body ? { "Content-Type": "application/json" } : {}) };
  const response = await sent(url, { method, headers, signal, credentials: "same-origin", body: body && JSON.stringify(body) });
  noteClock(response);
  const said = response.status === 204 ? null : inertAll(await response.json().catch(() => null));
  if (!response.ok) throw failureOf(response.status, said);
  return said;
}

async function sent(url, how) {
  try {
    return await fetch(url, how);
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw new Failure(0, "unreachable", "Airflow's API server does not answer. Check the connection; the page tries again by itself.");
  }
}

function noteClock(response) {
  const at = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(at)) skew = Math.abs(at - Date.now()) > 5000 ? at - Date.now() : 0;
}

/** Our envelope, or Airflow's `detail`. */
function failureOf(status, said) {
  if (said?.error) return new Failure(status, said.error.code, said.error.message, said.error.detail);
  const detail = said?.detail;
  return new Failure(status, "airflow", typeof detail === "string" ? detail : `The server answered ${status}.`);
}
