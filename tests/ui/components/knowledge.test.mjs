/** What people know, changed by several at once. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { all, field, press, submit, text, toggle, write } from "./hands.mjs";
import { serve, stale } from "./server.mjs";
import { show } from "./stage.mjs";

const UI = "../../../plugins/airflow_oncall/show/ui/";
const { h } = await import(`${UI}host.js`);
const { KnowledgeView } = await import(`${UI}knowledge/view.js`);

const ME = { user: "uma", user_id: "uma", may_steer: true, may_inspect: true };
const PATH = "knowledge/vendor-503";

/** The page of an entry that somebody changes after it was loaded. */
async function opened({ isProposed = false } = {}) {
  const entry = { name: "vendor-503", category: "network_timeout", pattern: "503", notes: "They restart at four." };
  const about = { name: "vendor-503", is_proposed: isProposed, history: [], outcomes: {}, updated_at: "2026-11-21T10:00:00Z" };
  let now = { ...about, version: 1, entry };
  const checked = (version) => (Number(version) === now.version ? now : stale({ name: now.name, version: now.version, entry: now.entry }));
  const calls = serve({
    [`GET ${PATH}`]: () => now,
    "GET knowledge": () => ({ items: [now], next_cursor: null }),
    [`PUT ${PATH}`]: (body) => checked(body.expected_version),
    [`POST ${PATH}/confirm`]: (body) => checked(body.expected_version),
    [`DELETE ${PATH}`]: (_, url) => checked(url.searchParams.get("expected_version")),
  });
  await show(h(KnowledgeView, { me: ME }), "entry=vendor-503");
  const somebodyWrites = (notes) => {
    now = { ...now, version: now.version + 1, entry: { ...entry, notes } };
  };
  return { calls, somebodyWrites };
}

test("what was typed into an entry outlives that somebody else changed it, and can be saved knowing how", async () => {
  const page = await opened();
  await press("Edit");
  await write("Notes", "They restart at five.");
  page.somebodyWrites("Ask Grace.");
  await submit("Entry vendor-503");
  assert.equal(field("Notes").props.value, "They restart at five.");
  assert.match(text(all("Box").filter((one) => one.props["aria-label"] === "Version 2")), /Ask Grace\./);
  await submit("Entry vendor-503");
  const versions = page.calls.filter((one) => one.what.startsWith("PUT")).map((one) => [one.body.expected_version, one.body.notes]);
  assert.deepEqual(versions, [
    [1, "They restart at five."],
    [2, "They restart at five."],
  ]);
  assert.equal(all("form").length, 0);
});

test("what somebody changed is not confirmed unseen", async () => {
  const page = await opened({ isProposed: true });
  page.somebodyWrites("Ask Grace.");
  await press("Confirm");
  assert.match(text(), /This changed in the meantime/);
  assert.match(text(), /Ask Grace\./);
});

test("what somebody changed is not removed unseen", async () => {
  const page = await opened();
  page.somebodyWrites("Ask Grace.");
  await toggle("Remove");
  await press("Remove", all("Dialog.Content"));
  await press("Edit");
  assert.match(text(), /This changed in the meantime/);
  assert.equal(field("Notes").props.value, "Ask Grace.");
});

test("a new entry that is half written outlives that another one is confirmed", async () => {
  await opened({ isProposed: true });
  await write("Search", "vendor");
  await press("New entry");
  await write("Name", "half-written");
  await press("Confirm");
  assert.equal(field("Name").props.value, "half-written");
  assert.equal(field("Search").props.value, "vendor");
});
