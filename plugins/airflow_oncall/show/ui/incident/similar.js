/** Others of the same fingerprint. */

import { h } from "../host.js";
import { Incidents } from "../incidents/list.js";
import { Nothing, Panel } from "../parts/layout.js";

/** @param {{incident: object}} given */
export function Similar({ incident }) {
  return h(
    Panel,
    { title: "Similar incidents" },
    incident.similar.length
      ? h(Incidents, { rows: incident.similar, label: "Similar incidents" })
      : h(Nothing, null, "This failed for the first time."),
  );
}
