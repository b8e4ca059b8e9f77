/** The tab of a DAG. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { all, press, text } from "./hands.mjs";
import { serve } from "./server.mjs";
import { show, update } from "./stage.mjs";

const UI = "../../../plugins/airflow_oncall/show/ui/";
const { h } = await import(`${UI}host.js`);
const { DagTab } = await import(`${UI}pages/dag.js`);

const POLICY = { file: "include/oncall/policy.yaml", overrides: [], said: {}, rules: {}, problem: "" };

/** A server with more incidents of every DAG than fit on a page. */
function opened(more = {}) {
  return serve({
    "GET incidents": () => ({ items: [], next_cursor: "77", total: 90 }),
    "GET dags/nightly": () => ({ tags: [{ name: "gold" }], owners: ["ann"] }),
    "GET dags/shards": () => ({ tags: [], owners: [] }),
    "GET policy": () => POLICY,
    ...more,
  });
}

const asked = (calls, what) => calls.filter((one) => one.what === what).map((one) => one.query);

test("the tab of another DAG begins at its newest incidents", async () => {
  const calls = opened();
  await show(h(DagTab, { dagId: "nightly" }));
  await press("Older");
  await update(h(DagTab, { dagId: "shards" }));
  const pages = asked(calls, "GET incidents").map((query) => [query.get("dag_id"), query.get("cursor")]);
  assert.deepEqual(pages, [
    ["nightly", null],
    ["nightly", "77"],
    ["shards", null],
  ]);
});

test("the policy of a DAG is asked for by its tags and owners", async () => {
  const calls = opened();
  await show(h(DagTab, { dagId: "nightly" }));
  assert.equal(asked(calls, "GET policy")[0].toString(), "dag_id=nightly&tag=gold&owner=ann");
  assert.doesNotMatch(text(), /without the overrides/);
});

test("a policy without the tags and owners of its DAG says that they are missing", async () => {
  opened({ "GET dags/nightly": () => ({ status: 500, body: { detail: "the database is away" } }) });
  await show(h(DagTab, { dagId: "nightly" }));
  assert.match(text(all("Alert.Root")), /without the overrides for them: the database is away/);
  assert.match(text(), /From include\/oncall\/policy\.yaml/);
});
