/** One incident with all that is known about it. */

import { h, Ui } from "../host.js";
import { LIVE, useDeed, useLive } from "../hooks.js";
import { QuestionOf } from "../incidents/questions.js";
import { KnowledgeOf } from "../knowledge/of_incident.js";
import { oncall } from "../lib/api.js";
import { subject, title } from "../lib/format.js";
import { dagPage, incidentPage, runPage, taskPage, viewPage } from "../lib/links.js";
import { Columns, Facts, Loading, Panel, Rows } from "../parts/layout.js";
import { Trouble } from "../parts/trouble.js";
import { Moment, Severity, State, To } from "../parts/words.js";
import { Decisions } from "./decisions.js";
import { Diagnosis } from "./diagnosis.js";
import { Doings } from "./doings.js";
import { Evidence } from "./evidence.js";
import { Feedback } from "./feedback.js";
import { Resolve } from "./resolve.js";
import { Similar } from "./similar.js";
import { Suggestion } from "./suggestion.js";
import { Timeline } from "./timeline.js";

/**
 * @param {{id: number, me: object, isEmbedded?: boolean}} given
 *   `isEmbedded`: on the task instance's own page, which its links need not lead to
 */
export function IncidentView({ id, me, isEmbedded = false }) {
  const { data, failure, reload } = useLive((signal) => oncall(`incidents/${id}`, { signal }), String(id), LIVE);
  const post = async (path, body) => {
    try {
      return await oncall(`incidents/${id}/${path}`, { method: "POST", body });
    } finally {
      reload();
    }
  };
  const [closing, saying] = [useDeed(post), useDeed(post)];
  if (!data) return h(Rows, null, h(Trouble, { failure, again: reload }), !failure && h(Loading, { what: `incident ${id}` }));
  return h(
    Rows,
    null,
    h(Trouble, { failure: closing.failure ?? failure, again: closing.failure ? undefined : reload }),
    h(Summary, { incident: data, deed: closing, isEmbedded }),
    data.question && h(QuestionOf, { asked: data.question, me, onAnswer: reload }),
    h(
      Columns,
      { min: "30rem" },
      h(Rows, null, h(Evidence, { incident: data }), h(Timeline, { steps: data.timeline })),
      h(
        Rows,
        null,
        h(Diagnosis, { diagnosis: data.diagnosis }),
        h(Suggestion, { suggestion: data.suggestion }),
        h(Decisions, { decisions: data.decisions }),
      ),
    ),
    h(Doings, { incident: data }),
    data.may_act && h(Feedback, { incident: data, deed: saying }),
    me.may_inspect && h(KnowledgeOf, { incident: data, me, onChange: reload }),
    h(Similar, { incident: data }),
  );
}

function Summary({ incident, deed, isEmbedded }) {
  return h(
    Panel,
    {
      title: `Incident #${incident.id}: ${subject(incident)}`,
      more: h(
        Ui.Flex,
        { gap: 2, align: "center" },
        h(State, { state: incident.state }),
        h(Severity, { severity: incident.severity }),
        incident.may_act && h(Resolve, { incident, deed }),
      ),
    },
    incident.detail && h(Ui.Text, { mb: 3, overflowWrap: "anywhere" }, incident.detail),
    h(Facts, { facts: facts(incident, isEmbedded) }),
  );
}

function facts(incident, isEmbedded) {
  const { dag_id: dagId, run_id: runId, task_id: taskId, try_number: tryNumber } = incident;
  const isTask = incident.kind === "task" || (incident.kind === "log" && runId);
  return [
    ["Kind", title(incident.kind)],
    ["Category", incident.category && title(incident.category)],
    [runId ? "DAG" : "What", runId ? h(To, { to: dagPage(dagId) }, dagId) : dagId],
    ["DAG run", runId && h(To, { to: runPage(incident) }, runId)],
    ["Task instance", isTask && taskId && !isEmbedded && h(To, { to: taskPage(incident) }, subject(incident))],
    ["Log", isTask && taskId && tryNumber > 0 && h(To, { to: taskPage(incident, tryNumber) }, `of try ${tryNumber}`)],
    [
      "Storm",
      incident.storm && h(To, { to: viewPage("storms", { storm: incident.storm.id }) }, `#${incident.storm.id}: ${incident.storm.cause}`),
    ],
    ["Source", incident.source],
    ["Opened", h(Moment, { at: incident.opened_at })],
    ["Closed", incident.closed_at && h(Moment, { at: incident.closed_at })],
    ["Page", isEmbedded && h(To, { to: incidentPage(incident.id) }, `Incident ${incident.id}`)],
  ];
}
