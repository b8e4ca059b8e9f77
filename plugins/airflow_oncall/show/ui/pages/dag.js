/** The tab of a DAG: how it fares, its incidents, and what the policy says of it. */

import { h, React } from "../host.js";
import { IncidentList } from "../incidents/list.js";
import { Tiles, useStatistics } from "../incidents/overview.js";
import { viewPage } from "../lib/links.js";
import { Loading, Page, Panel } from "../parts/layout.js";
import { Trouble } from "../parts/trouble.js";
import { Small, To } from "../parts/words.js";
import { Days } from "../plots/days.js";
import { Policy } from "./policy.js";

const SHOWN = 10;

/** Of another DAG everything begins anew. @param {{dagId: string}} given by Airflow */
export function DagTab({ dagId }) {
  return h(Tab, { key: dagId, dagId });
}

function Tab({ dagId }) {
  const { data, failure, reload } = useStatistics(dagId);
  const [cursor, setCursor] = React.useState("");
  const filters = { dag_id: [dagId], open: "any", cursor };
  return h(
    Page,
    { label: "Oncall incidents" },
    h(
      Panel,
      { title: "Record of the last 30 days" },
      h(Trouble, { failure, again: reload }),
      !data && !failure && h(Loading, { what: "figures" }),
      data && h(Tiles, { data }),
      data && h(Small, null, "Incidents a day"),
      data && h(Days, { days: data.per_day }),
    ),
    h(
      Panel,
      { title: "Incidents", more: h(To, { to: viewPage("", { dag_id: dagId, open: "any" }), fontSize: "sm" }, "With filters") },
      h(IncidentList, { filters, limit: SHOWN, change: (changes) => setCursor(changes.cursor ?? "") }),
    ),
    h(Policy, { dagId }),
  );
}
