import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../../plugins/airflow_oncall/show/ui/lib/format.js";

const NOON = Date.parse("2026-11-21T12:00:00Z");

test("how long ago goes by the clock that is given, not by this machine's", () => {
  assert.equal(format.ago("2026-11-21T11:59:40Z", NOON), "just now");
  assert.equal(format.ago("2026-11-21T11:57:00Z", NOON), "3 min ago");
  assert.equal(format.ago("2026-11-21T07:00:00Z", NOON), "5 h ago");
  assert.equal(format.ago("2026-11-11T12:00:00Z", NOON), "10 d ago");
  assert.equal(format.ago("2026-11-21T12:10:00Z", NOON), "in 10 min");
});

test("what is not known is a dash", () => {
  for (const shown of [format.percent(null), format.minutes(undefined), format.figure(""), format.words(null), format.plain([])])
    assert.equal(shown, format.NOTHING);
});

test("figures have as many digits as they deserve", () => {
  assert.equal(format.percent(0.847), "85 %");
  assert.equal(format.between(0.2, 0.913), "20–91 %");
  assert.equal(format.figure(0.123456), "0.123");
  assert.equal(format.figure(1200), "1200");
  assert.equal(format.minutes(0.5), "30 s");
  assert.equal(format.minutes(150), "3 h");
});

test("one is not many", () => {
  assert.equal(format.counted(1, "incident"), "1 incident");
  assert.equal(format.counted(12_345, "incident"), "12,345 incidents");
});

test("a subject names its map index where there is one", () => {
  assert.equal(format.subject({ dag_id: "shards", task_id: "work", map_index: 3 }), "shards › work [3]");
  assert.equal(format.subject({ dag_id: "team/broken.py", task_id: "", map_index: -1 }), "team/broken.py");
});

test("an object is one line", () => {
  assert.equal(format.plain({ used_up: true, limits: { task: 2 }, names: ["a", "b"] }), "used up yes, limits task 2, names a, b");
});

test("UTC is said as logs say it", () => {
  assert.equal(format.utc("2026-11-21T12:00:00+02:00"), "2026-11-21 10:00:00 UTC");
});
