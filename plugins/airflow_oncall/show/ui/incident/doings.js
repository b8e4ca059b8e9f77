/** What was done, to exactly which try, and how it ended. */

import { h } from "../host.js";
import { plain, title } from "../lib/format.js";
import { Nothing, Panel } from "../parts/layout.js";
import { Table } from "../parts/table.js";
import { Small, Tag, When } from "../parts/words.js";

const ACTIONS = [
  "Action",
  "State",
  { name: "Try", isNumber: true },
  { name: "Attempts", isNumber: true },
  "Planned",
  "Done",
  "Approved by",
  "What happened",
];
const OUTCOMES = ["End", { name: "Try", isNumber: true }, "Seen", "What was seen"];
const COLOURS = {
  planned: "blue",
  done: "green",
  superseded: "gray",
  refused: "red",
  dropped: "gray",
  success: "green",
  failed_same: "red",
  failed_other: "orange",
  expired: "gray",
};

/** @param {{incident: object}} given */
export function Doings({ incident }) {
  const { actions, outcomes } = incident;
  const done = actions.map((one) => ({
    key: one.id,
    cells: [
      title(one.kind),
      h(Tag, { name: one.state, colour: COLOURS[one.state] }),
      one.answers_try,
      one.attempts,
      h(When, { at: one.planned_at }),
      h(When, { at: one.done_at }),
      one.approved_by,
      [one.detail, Object.keys(one.parameters).length > 0 && plain(one.parameters)].filter(Boolean).join("; "),
    ],
  }));
  const ended = outcomes.map((one, key) => ({
    key,
    cells: [h(Tag, { name: one.kind, colour: COLOURS[one.kind] }), one.try_number, h(When, { at: one.seen_at }), one.detail],
  }));
  return h(
    Panel,
    { title: "Action" },
    done.length ? h(Table, { label: "Actions", columns: ACTIONS, rows: done }) : h(Nothing, null, "Nothing was done about it."),
    ended.length > 0 && h(Small, null, "How it ended"),
    ended.length > 0 && h(Table, { label: "Outcomes", columns: OUTCOMES, rows: ended }),
  );
}
