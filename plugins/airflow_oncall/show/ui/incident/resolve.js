/** Close an incident by hand. */

import { h } from "../host.js";
import { Confirm } from "../parts/dialog.js";

/** @param {{incident: object, deed: {attempt: Function}}} given */
export function Resolve({ incident, deed }) {
  const close = (reason) => deed.attempt("resolve", { reason, expected_updated_at: incident.updated_at });
  return h(
    Confirm,
    {
      label: "Close by hand",
      heading: `Close incident #${incident.id}?`,
      confirm: "Close it",
      colour: "red",
      reason: "required",
      onConfirm: close,
    },
    "Nothing more is done about it, and what was planned is dropped. The task instance itself stays as it is.",
  );
}
