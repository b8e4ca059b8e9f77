import assert from "node:assert/strict";
import { test } from "node:test";
import { asked, changed, chosenAfter, fieldOf, filtersOf, isFiltered, momentOf } from "../../../plugins/airflow_oncall/show/ui/lib/query.js";

const NOON = Date.parse("2026-11-21T12:00:00Z");

test("an address that says nothing shows open incidents", () => {
  const filters = filtersOf(new URLSearchParams());
  assert.deepEqual(asked(filters, NOON), { open: "true" });
  assert.equal(isFiltered(filters), false);
});

test("a state that is asked for is not narrowed to open ones", () => {
  const filters = filtersOf(new URLSearchParams("state=resolved&dag_id=nightly"));
  assert.deepEqual(asked(filters, NOON), { state: ["resolved"], dag_id: ["nightly"] });
  assert.equal(isFiltered(filters), true);
});

test("a filter of several values stands in the address as often, each value once", () => {
  const filters = filtersOf(new URLSearchParams("category=rate_limit&category=code_error&category=rate_limit&source="));
  assert.deepEqual(asked(filters, NOON), { category: ["rate_limit", "code_error"], open: "true" });
  assert.equal(changed(new URLSearchParams("category=rate_limit"), { category: ["a", "b"], dag_id: [] }).toString(), "category=a&category=b");
});

test("a changed filter begins at the first page and leaves the rest of the address alone", () => {
  const before = new URLSearchParams("view=x&cursor=77&category=rate_limit");
  assert.equal(changed(before, { category: "", severity: "high" }).toString(), "view=x&severity=high");
  assert.equal(changed(before, { cursor: "55" }).get("cursor"), "55");
  assert.equal(before.get("cursor"), "77");
});

test("a span of time counts back from the server's now", () => {
  assert.equal(asked(filtersOf(new URLSearchParams("within=24h&open=any")), NOON).since, "2026-11-20T12:00:00.000Z");
});

test("a date field and UTC are the same moment, whatever the zone", () => {
  assert.equal(momentOf(fieldOf("2026-11-21T10:30:00.000Z")), "2026-11-21T10:30:00.000Z");
  assert.equal(fieldOf("no date"), "");
  assert.equal(momentOf("nonsense"), "");
});

test("years that a field has while its year is typed are no time", () => {
  assert.deepEqual(["0002-01-01T00:00", "0202-01-01T00:00", "9999-06-01T00:00"].map(momentOf), ["", "", ""]);
  assert.equal(new Date(momentOf("2026-01-01T00:00")).getFullYear(), 2026);
});

test("a choice is added to one that the list does not show yet", () => {
  assert.deepEqual(chosenAfter(["critical"], [], ["low"]), ["critical", "low"]);
  assert.deepEqual(chosenAfter(["critical"], ["critical"], ["critical", "low"]), ["critical", "low"]);
});

test("what is taken back goes, also while another choice is on its way", () => {
  assert.deepEqual(chosenAfter(["critical", "low"], ["critical"], []), ["low"]);
  assert.deepEqual(chosenAfter(["low", "high"], ["low", "high"], ["high"]), ["high"]);
});
