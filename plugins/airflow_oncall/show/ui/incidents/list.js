/** A page of incidents, kept current. */

import { h, Ui } from "../host.js";
import { LIVE, useLive } from "../hooks.js";
import { oncall, serverNow } from "../lib/api.js";
import { counted, percent, subject, title } from "../lib/format.js";
import { incidentPage } from "../lib/links.js";
import { asked } from "../lib/query.js";
import { Loading, Nothing } from "../parts/layout.js";
import { Pages } from "../parts/pages.js";
import { Table } from "../parts/table.js";
import { Trouble } from "../parts/trouble.js";
import { Severity, State, To, When } from "../parts/words.js";

const PAGE = 50;
const COLUMNS = ["Incident", "What", "State", "Category", "Severity", "Opened", "Reason"];

/**
 * @param {{filters: Record<string, any>, change: (changes: Record<string, any>) => void, label?: string, turn?: number, limit?: number}} given
 *   `turn`: another number loads anew
 */
export function IncidentList({ filters, change, label = "Incidents", turn = 0, limit = PAGE }) {
  const load = (signal) => oncall("incidents", { query: { ...asked(filters, serverNow()), limit }, signal });
  const { data, failure, isLoading, reload } = useLive(load, JSON.stringify([filters, turn]), LIVE);
  return h(
    "div",
    null,
    h(Trouble, { failure, again: reload }),
    !data && !failure && h(Loading, { what: "incidents" }),
    data?.items.length === 0 &&
      h(Nothing, null, data.next_cursor ? "None of those looked through so far fits; there are older ones." : "No incident fits."),
    data && data.items.length > 0 && h(Incidents, { rows: data.items, label, isBusy: isLoading }),
    data &&
      h(
        Pages,
        { label: "Pages of incidents", cursor: filters.cursor, next: data.next_cursor, onPage: (cursor) => change({ cursor }) },
        data.items.length > 0 && h("span", null, all(data.total)),
      ),
  );
}

/** The table alone. @param {{rows: object[], label: string, isBusy?: boolean}} given */
export function Incidents({ rows, label, isBusy }) {
  return h(Table, { label, columns: COLUMNS, rows: rows.map((row) => ({ key: row.id, cells: cells(row) })), isBusy });
}

const all = (total) => (total === null ? "more than can be counted quickly" : counted(total, "incident"));

function cells(row) {
  const certain = row.probability !== null && h(Ui.Box, { as: "span", whiteSpace: "nowrap" }, percent(row.probability));
  return [
    h(To, { to: incidentPage(row.id), "aria-label": `Incident ${row.id}` }, `#${row.id}`),
    h(
      Ui.Box,
      { minW: "10rem", maxW: "22rem", overflowWrap: "anywhere" },
      h(Ui.Box, { lineClamp: 3, overflowWrap: "anywhere", title: subject(row) }, subject(row)),
      h(Ui.Box, { lineClamp: 2, overflowWrap: "anywhere", title: origin(row), fontSize: "xs", color: "fg.muted" }, origin(row)),
    ),
    h(State, { state: row.state }),
    row.category && h("span", null, title(row.category), " ", certain),
    h(Severity, { severity: row.severity }),
    h(
      "div",
      null,
      h(When, { at: row.opened_at }),
      h(Ui.Text, { fontSize: "xs", color: "fg.muted", whiteSpace: "nowrap" }, "changed ", h(When, { at: row.updated_at })),
    ),
    h(Ui.Box, { minW: "9rem", maxW: "24rem", lineClamp: 3, overflowWrap: "anywhere", title: row.detail }, row.detail),
  ];
}

/** The run, and where the incident comes from if not from Airflow itself. */
function origin(row) {
  return [row.run_id, row.source !== "airflow" && row.source !== row.dag_id && row.source].filter(Boolean).join(", ");
}
