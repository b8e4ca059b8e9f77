/** Close an incident by hand. */

import { h, React } from "../host.js";
import { Confirm } from "../parts/dialog.js";

/**
 * While the dialog is open it is about the incident as it was when it opened: that is what its reader decides on, whatever
 * refreshes bring meanwhile.
 * @param {{incident: object, deed: {attempt: Function}}} given
 */
export function Resolve({ incident, deed }) {
  const [seen, setSeen] = React.useState(null);
  if (incident.closed_at && !seen) return null;
  const close = (reason) => deed.attempt("resolve", { reason, expected_updated_at: seen.updated_at });
  return h(
    Confirm,
    {
      label: "Close by hand",
      heading: `Close incident #${incident.id}?`,
      confirm: "Close it",
      colour: "red",
      reason: "required",
      onConfirm: close,
      onToggle: (isOpen) => setSeen(isOpen ? incident : null),
    },
    "Nothing more is done about it, and what was planned is dropped. The task instance itself stays as it is.",
  );
}
