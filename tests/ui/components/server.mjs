/** A server without a network, whose answers a test can change. */

/**
 * A server that answers by method and path; every call is kept.
 * @param {Record<string, (body: any, url: URL) => any>} routes by `GET incidents/7`; a body, or `{status, body}`
 */
export function serve(routes) {
  const calls = [];
  globalThis.fetch = async (address, { method, body }) => {
    const url = new URL(address);
    const path = url.pathname.replace(/^.*\/api\/v[12]\//, "");
    const call = { what: `${method} ${path}`, body: body && JSON.parse(body), query: url.searchParams };
    calls.push(call);
    const said = routes[call.what]?.(call.body, url) ?? { status: 404, body: { detail: `nothing at ${call.what}` } };
    const isWhole = typeof said.status === "number" && "body" in said;
    return new Response(JSON.stringify(isWhole ? said.body : said), { status: isWhole ? said.status : 200 });
  };
  return calls;
}

/** Our API's answer to a page that is behind. */
export const stale = (detail) => ({ status: 409, body: { error: { code: "stale", message: "it changed", detail } } });
