/** A panel with something of the API that is loaded once. */

import { h } from "../host.js";
import { useLive } from "../hooks.js";
import { oncall } from "../lib/api.js";
import { words } from "../lib/format.js";
import { Loading, Panel } from "./layout.js";
import { Trouble } from "./trouble.js";

/** @param {{title: string, path: string, query?: object, children: (data: any) => any}} given */
export function Loaded({ title, path, query, children }) {
  const { data, failure, reload } = useLive((signal) => oncall(path, { query, signal }), JSON.stringify([path, query]));
  return h(
    Panel,
    { title },
    h(Trouble, { failure, again: reload }),
    !data && !failure && h(Loading, { what: words(path) }),
    data && children(data),
  );
}
