/** The list of questions. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { press, text } from "./hands.mjs";
import { serve } from "./server.mjs";
import { show } from "./stage.mjs";

const UI = "../../../plugins/airflow_oncall/show/ui/";
const { h } = await import(`${UI}host.js`);
const { Questions, QuestionOf } = await import(`${UI}incidents/questions.js`);

const PLACE = { dag_id: "oncall_approval", run_id: "oncall-1-1-20261121T020000000000", task_id: "question", map_index: -1 };
const OLGA = { user: "olga", user_id: "7", may_answer: true };

/** A question as Airflow tells of it. */
function asked(more = {}) {
  const said = { subject: "Clear?", options: ["Approve", "Reject"], assigned_users: [], created_at: "" };
  return { ...said, task_instance: instance(1), ...more };
}

/** The task instance that asks. */
function instance(number) {
  return { id: `ti-${number}`, dag_id: PLACE.dag_id, dag_run_id: PLACE.run_id, task_id: PLACE.task_id, map_index: -1 };
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

test("of more questions than fit on a page all can be reached, and none of another DAG is shown", async () => {
  const all = Array.from({ length: 120 }, (_, number) => asked({ subject: `Clear ${number}?`, task_instance: instance(number) }));
  serve({
    "GET dags/oncall_approval/dagRuns/~/hitlDetails": (_, { searchParams }) => {
      const offset = Number(searchParams.get("offset"));
      return { hitl_details: all.slice(offset, offset + Number(searchParams.get("limit"))), total_entries: all.length };
    },
  });
  await show(h(Questions, { me: OLGA, onAnswer: () => {} }));
  assert.match(text(), /120 questions/);
  assert.match(text(), /Clear 0\?/);
  await press("More");
  await press("More");
  assert.match(text(), /Clear 119\?/);
  await assert.rejects(press("More"), /no button More/);
  await press("From the start");
  assert.match(text(), /Clear 0\?/);
});

test("that nobody is asked is said to whom it is known", async () => {
  const path = "GET dags/oncall_approval/dagRuns/~/hitlDetails";
  serve({ [path]: () => ({ hitl_details: [], total_entries: 0 }) });
  await show(h(Questions, { me: OLGA, onAnswer: () => {} }));
  assert.match(text(), /Nobody has to decide anything\./);
  serve({ [path]: () => ({ status: 403, body: { detail: "Forbidden" } }) });
  await show(h(Questions, { me: OLGA, onAnswer: () => {} }));
  assert.equal(text(), "");
});
