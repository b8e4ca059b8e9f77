/** The list of questions. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { text } from "./hands.mjs";
import { serve } from "./server.mjs";
import { show } from "./stage.mjs";

const UI = "../../../plugins/airflow_oncall/show/ui/";
const { h } = await import(`${UI}host.js`);
const { QuestionOf } = await import(`${UI}incidents/questions.js`);

const PLACE = { dag_id: "oncall_approval", run_id: "oncall-1-1-20261121T020000000000", task_id: "question", map_index: -1 };
const OLGA = { user: "olga", user_id: "7", may_answer: true };

/** A question as Airflow tells of it. */
function asked(more = {}) {
  const instance = { id: "ti-1", dag_id: PLACE.dag_id, dag_run_id: PLACE.run_id, task_id: PLACE.task_id, map_index: -1 };
  return { subject: "Clear?", options: ["Approve", "Reject"], assigned_users: [], created_at: "", task_instance: instance, ...more };
}

for (const [named, offer] of [
  [{ id: "7", name: "olga" }, "Approve"],
  [{ id: "olga", name: "olga" }, "Only olga may answer"],
])
  test(`to a reader with the id 7, a question for the id ${named.id} says: ${offer}`, async () => {
    const path = `dags/${PLACE.dag_id}/dagRuns/${PLACE.run_id}/taskInstances/question/-1/hitlDetails`;
    serve({ [`GET ${path}`]: () => asked({ assigned_users: [named] }) });
    await show(h(QuestionOf, { asked: PLACE, me: OLGA, onAnswer: () => {} }));
    assert.match(text(), new RegExp(offer));
  });
