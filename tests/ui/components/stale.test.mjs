/** Pages that were decided on while they went on changing. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { all, field, press, submit, text, toggle, write } from "./hands.mjs";
import { serve, stale } from "./server.mjs";
import { pass, show, update } from "./stage.mjs";

const UI = "../../../plugins/airflow_oncall/show/ui/";
const { h } = await import(`${UI}host.js`);
const { Banner } = await import(`${UI}incidents/banner.js`);
const { IncidentView } = await import(`${UI}incident/view.js`);

const ME = { user: "olga", user_id: "7", may_answer: true, may_steer: true, may_inspect: false };
const SEEN = {
  id: 7,
  dag_id: "nightly",
  run_id: "run-1",
  task_id: "load_orders",
  map_index: -1,
  try_number: 1,
  kind: "task",
  state: "escalated",
  category: "code_error",
  severity: "high",
  source: "airflow",
  detail: "",
  updated_at: "2026-11-21T10:00:00Z",
  opened_at: "2026-11-21T09:00:00Z",
  closed_at: null,
  may_act: true,
  occurrences: [],
  logged: [],
  decisions: [],
  actions: [],
  outcomes: [],
  labels: [],
  timeline: [],
  similar: [],
  knowledge: [],
};
const CHANGED = { ...SEEN, state: "verifying", category: "rate_limit", updated_at: "2026-11-21T10:00:20Z" };
const REFRESH = 10;

/** The page of an incident, which refreshes show as it is by then. */
async function opened(then = CHANGED) {
  let now = SEEN;
  const behind = (body) => (body.expected_updated_at === now.updated_at ? now : stale({ state: now.state, detail: "" }));
  const calls = serve({
    "GET incidents/7": () => now,
    "POST incidents/7/resolve": behind,
    "POST incidents/7/feedback": behind,
  });
  await show(h(IncidentView, { id: 7, me: ME }));
  const refresh = async () => {
    now = then;
    await pass(REFRESH);
  };
  return { refresh, said: () => calls.filter((one) => one.what.startsWith("POST")).map((one) => one.body) };
}

/** The same, where somebody has typed why it is to be closed when the refresh comes. */
async function beingClosed(then) {
  const page = await opened(then);
  await toggle("Close by hand");
  await write("Reason", "the heap was raised");
  await page.refresh();
  return page;
}

test("an incident is closed as it was when the dialog opened, whatever was refreshed meanwhile", async () => {
  const page = await beingClosed();
  await press("Close it");
  assert.deepEqual(page.said(), [{ reason: "the heap was raised", expected_updated_at: SEEN.updated_at }]);
  assert.match(text(), /This changed in the meantime/);
});

test("who was too late decides again, with the reason that was typed and the incident as it is by then", async () => {
  const page = await beingClosed();
  await press("Close it");
  await toggle("Close by hand");
  assert.equal(field("Reason").props.value, "the heap was raised");
  await press("Close it");
  assert.equal(page.said()[1].expected_updated_at, CHANGED.updated_at);
  assert.equal(field("Reason").props.value, "");
});

test("a dialog stays while the incident is closed by somebody else", async () => {
  await beingClosed({ ...CHANGED, state: "closed", closed_at: CHANGED.updated_at });
  assert.equal(field("Reason").props.value, "the heap was raised");
  await toggle("Close by hand", false);
  assert.doesNotMatch(text(), /Close by hand/);
});

test("feedback is about the category that the form was filled in for", async () => {
  const page = await opened();
  await write("Is the category right? (Code error)", "yes");
  await page.refresh();
  await write("Is the category right? (Code error)", "yes");
  await submit("Feedback");
  assert.deepEqual(page.said(), [{ category_correct: true, expected_updated_at: SEEN.updated_at }]);
});

test("feedback that came too late keeps its comment and asks about the category as it is now", async () => {
  const page = await opened();
  await write("Is the category right?", "yes");
  await write("Comment", "the vendor told us");
  await page.refresh();
  await submit("Feedback");
  assert.match(text(), /This changed in the meantime/);
  assert.equal(field("Is the category right? (Rate limit)").props.value, "");
  assert.equal(field("Comment").props.value, "the vendor told us");
  await write("Is the category right?", "yes");
  await submit("Feedback");
  assert.deepEqual(page.said()[1], { category_correct: true, comment: "the vendor told us", expected_updated_at: CHANGED.updated_at });
  assert.match(text(), /Thank you/);
});

test("a dialog that asks whether to stop does not become one that asks whether to resume when somebody else was faster", async () => {
  const banner = (paused) => h(Banner, { me: { ...ME, mode: "ask", paused }, onChange: () => {} });
  await show(banner(null));
  await toggle("Stop all repairs");
  await update(banner({ by: "uma", since: null, reason: "release night" }));
  assert.match(text(all("Dialog.Trigger")), /Resume repairs/);
  assert.equal(all("Dialog.Root")[0].props.open, false);
});
