/** What the policy says of a DAG, and where each line of it stands. */

import { h, React, Ui } from "../host.js";
import { useLive } from "../hooks.js";
import { airflow, Failure } from "../lib/api.js";
import { NOTHING, percent, plain, span, title, words } from "../lib/format.js";
import { Loaded } from "../parts/loaded.js";
import { Table } from "../parts/table.js";
import { Trouble } from "../parts/trouble.js";
import { Small } from "../parts/words.js";

const COLUMNS = ["Category", "Action", "Otherwise", "By itself from", "Asks from", "Wait", "Where"];

/** The action that tells people and repairs nothing. */
const NO_REPAIR = "escalate";

/** @param {{dagId: string}} given */
export function Policy({ dagId }) {
  const { data: dag, failure, reload } = useLive((signal) => airflow(`dags/${encodeURIComponent(dagId)}`, { signal }), dagId);
  if (!dag && !failure) return null;
  const query = { dag_id: dagId, tag: (dag?.tags ?? []).map((one) => one.name), owner: dag?.owners ?? [] };
  return h(
    React.Fragment,
    null,
    h(Trouble, { failure: failure && partly(failure), again: reload }),
    h(Loaded, { title: "Policy", path: "policy", query, children: (policy) => h(Lines, { policy }) }),
  );
}

/** That not all of it is shown. */
function partly({ status, code, message }) {
  return new Failure(
    status,
    code,
    `Airflow does not say which tags and owners this DAG has, so the policy below is without the overrides for them: ${message}`,
  );
}

function Lines({ policy }) {
  const said = Object.entries(policy.said).map(([name, one]) => ({
    key: name,
    cells: [title(name.replace(".", ": ")), plain(one.value), place(one.where, policy)],
  }));
  const rules = Object.entries(policy.rules).map(([category, rule]) => ({ key: category, cells: cells(category, rule, policy) }));
  return h(
    "div",
    null,
    h(
      Ui.Text,
      { fontSize: "sm", color: "fg.muted", overflowWrap: "anywhere" },
      `From ${policy.file}`,
      policy.overrides.length > 0 && `, with overrides ${policy.overrides.join(", ")}`,
    ),
    policy.problem &&
      h(
        Ui.Text,
        { role: "alert", fontSize: "sm", color: "fg.error", overflowWrap: "anywhere" },
        `The file is wrong; what is named above stays in force until it is mended: ${policy.problem}`,
      ),
    h(Small, null, "In general"),
    h(Table, { label: "Policy in general", columns: ["What", "Value", "Where"], rows: said }),
    h(Small, null, "By category"),
    h(Table, { label: "Policy by category", columns: COLUMNS, rows: rules }),
  );
}

function cells(category, rule, policy) {
  const otherwise = rule.alternatives.length ? rule.alternatives.map(words).join(", ") : NOTHING;
  const wait = rule.wait_seconds ? span(rule.wait_seconds) : NOTHING;
  return [title(category), words(rule.action), otherwise, ...bars(rule), wait, place(rule.where, policy)];
}

/** From which probability on it is done, and from which it is asked about. */
function bars(rule) {
  if (rule.action === NO_REPAIR) return [NOTHING, NOTHING];
  const shown = (bar) => (bar > 1 ? "never" : percent(bar));
  return [rule.asks_always ? "always asks" : shown(rule.auto), shown(rule.ask)];
}

/** Where it stands; of the policy's own file, which is named above, the line. */
function place(where, policy) {
  const own = `${policy.file}:`;
  return where.startsWith(own) ? `line ${where.slice(own.length)}` : where;
}
