import assert from "node:assert/strict";
import { test } from "node:test";
import { drawnFrom, EMPTY, entryOf, formOf } from "../../../plugins/airflow_oncall/show/ui/lib/entry.js";
import { incidentAsked, taskPage, viewPage } from "../../../plugins/airflow_oncall/show/ui/lib/links.js";
import { confusionOf, figuresOf, reliabilityOf } from "../../../plugins/airflow_oncall/show/ui/lib/reports.js";

test("a task instance's page is found whatever its names are made of", () => {
  const row = { dag_id: "a b", run_id: "manual__2026-11-21T00:00:00+00:00", task_id: "x?y", map_index: 3 };
  assert.equal(taskPage(row, 2), "/dags/a%20b/runs/manual__2026-11-21T00%3A00%3A00%2B00%3A00/tasks/x%3Fy/mapped/3?try_number=2");
  assert.equal(viewPage("storms", { storm: 4 }), "/plugin/oncall?view=storms&storm=4");
});

test("a question's run names its incident, another run names none", () => {
  assert.equal(incidentAsked("oncall-17-2-20261121T020000000000"), 17);
  assert.equal(incidentAsked("manual__oncall-17-2-20261121T020000000000"), null);
});

test("an entry survives the form", () => {
  const entry = {
    name: "vendor-503",
    category: "network_timeout",
    pattern: "503",
    actions: ["clear_task", "pause_dag"],
    confidence: 0.9,
    tags: ["vendor"],
  };
  const { name, ...said } = entry;
  assert.deepEqual(entryOf(formOf(entry)), { ...said, fingerprint: "", example: "", notes: "", runbook: "", parent: "" });
  assert.equal(EMPTY.actions, "");
});

test("what an incident tells stands in a new entry already", () => {
  const drawn = drawnFrom({
    category: "rate_limit",
    task_id: "Load Orders",
    dag_id: "nightly",
    fingerprint: "f1",
    diagnosis: { evidence: ["rule http_429 (0.91): 429 Too Many"] },
    decisions: [{ action: "clear_task" }],
  });
  assert.deepEqual(
    [drawn.name, drawn.fingerprint, drawn.example, drawn.actions],
    ["rate-limit-load-orders", "f1", "429 Too Many", "clear_task"],
  );
});

test("a model's own report is found whatever order the database gives its reports in", () => {
  const own = { rows: 9, ece: 0.1, confusion: { a: { a: 9 } }, reliability: [{ confidence: 0.8, accuracy: 0.7, rows: 9 }] };
  const model = { metrics: { reports: { champion: { "unseen groups": { ece: 0.5 } }, challenger: { "unseen groups": own } } } };
  assert.deepEqual(figuresOf(model), { ece: 0.1 });
  assert.deepEqual(confusionOf(model), own.confusion);
  assert.deepEqual(reliabilityOf(model), [{ expected: 0.8, observed: 0.7, number: 9 }]);
  assert.deepEqual(figuresOf({ metrics: {} }), {});
});
