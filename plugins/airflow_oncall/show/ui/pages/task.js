/** The tab of a task instance: its newest incident in full, and the others of the same task. */

import { h } from "../host.js";
import { LIVE, useLive } from "../hooks.js";
import { IncidentView } from "../incident/view.js";
import { Incidents } from "../incidents/list.js";
import { oncall } from "../lib/api.js";
import { Loading, Nothing, Page, Panel } from "../parts/layout.js";
import { Trouble } from "../parts/trouble.js";
import { useMe } from "./me.js";

const HISTORY = 20;

/** @param {{dagId: string, runId: string, taskId: string, mapIndex?: string}} given by Airflow */
export function TaskTab({ dagId, runId, taskId, mapIndex }) {
  const me = useMe();
  const task = { dag_id: dagId, task_id: taskId };
  const instance = { ...task, run_id: runId, map_index: mapIndex ?? "-1", limit: 1 };
  const own = useLive((signal) => oncall("incidents", { query: instance, signal }), JSON.stringify(instance), LIVE);
  const history = useLive((signal) => oncall("incidents", { query: { ...task, limit: HISTORY }, signal }), JSON.stringify(task), LIVE);
  const failure = me.failure ?? own.failure ?? history.failure;
  const incident = own.data?.items[0];
  const others = history.data?.items.filter((one) => one.id !== incident?.id) ?? [];
  return h(
    Page,
    { label: "Oncall incident" },
    h(Trouble, { failure, again: own.reload }),
    !failure && !(me.data && own.data && history.data) && h(Loading, { what: "incidents of this task" }),
    own.data && !incident && h(Panel, { title: "Incident" }, h(Nothing, null, "This task instance never failed, as far as on-call knows.")),
    me.data && incident && h(IncidentView, { key: incident.id, id: incident.id, me: me.data, isEmbedded: true }),
    history.data &&
      h(
        Panel,
        { title: "Other incidents of this task" },
        others.length ? h(Incidents, { rows: others, label: "Other incidents of this task" }) : h(Nothing, null, "There is none."),
      ),
  );
}
