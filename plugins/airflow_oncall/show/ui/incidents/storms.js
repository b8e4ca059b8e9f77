/** Storms: many incidents with one cause. */

import { h, Router, Ui } from "../host.js";
import { LIVE, useLive } from "../hooks.js";
import { oncall } from "../lib/api.js";
import { counted, plain, title } from "../lib/format.js";
import { incidentPage, viewPage } from "../lib/links.js";
import { Facts, Loading, Nothing, Panel, Rows } from "../parts/layout.js";
import { Pages } from "../parts/pages.js";
import { Table } from "../parts/table.js";
import { Trouble } from "../parts/trouble.js";
import { Moment, State, To, When } from "../parts/words.js";
import { Incidents } from "./list.js";
import { QuestionOf } from "./questions.js";

const COLUMNS = ["Storm", "Cause", "State", { name: "Incidents", isNumber: true }, { name: "Held", isNumber: true }, "Opened", "Reason"];

/** Storms that are on; nothing while there is none. */
export function OpenStorms() {
  const { data } = useLive((signal) => oncall("storms", { query: { open: true }, signal }), "open storms", LIVE);
  if (!data?.items.length) return null;
  return h(
    Panel,
    { title: "Storms", more: h(To, { to: viewPage("storms"), fontSize: "sm" }, "All storms") },
    h(Storms, { storms: data.items }),
  );
}

/** All of them, or the one that the address names. @param {{me: object}} given */
export function StormView({ me }) {
  const [params, setParams] = Router.useSearchParams();
  const id = params.get("storm");
  if (id) return h(Storm, { key: id, id, me });
  return h(AllStorms, {
    cursor: params.get("cursor") ?? "",
    onPage: (cursor) => setParams({ view: "storms", ...(cursor ? { cursor } : {}) }),
  });
}

function AllStorms({ cursor, onPage }) {
  const query = cursor ? { cursor } : {};
  const { data, failure, isLoading, reload } = useLive((signal) => oncall("storms", { query, signal }), `storms ${cursor}`, LIVE);
  return h(
    Panel,
    { title: "Storms" },
    h(Trouble, { failure, again: reload }),
    !data && !failure && h(Loading, { what: "storms" }),
    data?.items.length === 0 && h(Nothing, null, "There was no storm yet: no cause hit several tasks at once."),
    data?.items.length > 0 && h(Storms, { storms: data.items, isBusy: isLoading }),
    h(Pages, { label: "Pages of storms", cursor, next: data?.next_cursor, onPage }),
  );
}

function Storms({ storms, isBusy }) {
  const cells = (storm) => [
    h(To, { to: viewPage("storms", { storm: storm.id }), "aria-label": `Storm ${storm.id}` }, `#${storm.id}`),
    h(Ui.Box, { minW: "12rem" }, storm.cause, storm.category && h(Ui.Text, { fontSize: "xs", color: "fg.muted" }, title(storm.category))),
    h(State, { state: storm.state }),
    storm.members,
    storm.held,
    h(When, { at: storm.opened_at }),
    h(Ui.Box, { minW: "12rem" }, storm.detail),
  ];
  return h(Table, { label: "Storms", columns: COLUMNS, rows: storms.map((storm) => ({ key: storm.id, cells: cells(storm) })), isBusy });
}

function Storm({ id, me }) {
  const { data, failure, reload } = useLive((signal) => oncall(`storms/${encodeURIComponent(id)}`, { signal }), id, LIVE);
  if (!data) return h(Rows, null, h(Trouble, { failure, again: reload }), !failure && h(Loading, { what: "the storm" }));
  return h(
    Rows,
    null,
    h(Trouble, { failure, again: reload }),
    h(Panel, { title: `Storm #${data.id}`, more: h(State, { state: data.state }) }, h(StormFacts, { storm: data })),
    data.question && h(QuestionOf, { asked: data.question, me, onAnswer: reload }),
    h(
      Panel,
      {
        title: "Incidents",
        more: h(To, { to: viewPage("", { storm_id: data.id, open: "any" }), fontSize: "sm" }, `All ${counted(data.members, "incident")}`),
      },
      h(Incidents, { rows: data.incidents, label: `Incidents of storm ${data.id}` }),
    ),
  );
}

function StormFacts({ storm }) {
  return h(Facts, {
    facts: [
      ["Cause", storm.cause],
      ["Category", storm.category && title(storm.category)],
      ["Incidents", `${storm.members}, of which ${storm.held} wait for it`],
      ["By state", plain(storm.by_state)],
      ["DAGs", plain(storm.dag_ids)],
      ["Probe", storm.probe_id && h(To, { to: incidentPage(storm.probe_id) }, `Incident ${storm.probe_id}`)],
      ["Probes so far", storm.probes],
      ["Released waves", storm.wave],
      ["Answer", storm.answer && `${storm.answer} by ${storm.answered_by}`],
      ["Opened", h(Moment, { at: storm.opened_at })],
      ["Closed", storm.closed_at && h(Moment, { at: storm.closed_at })],
      ["Reason", storm.detail],
    ],
  });
}
