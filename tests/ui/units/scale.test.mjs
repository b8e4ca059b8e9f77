import assert from "node:assert/strict";
import { test } from "node:test";
import { labelled, linear, path, ticks } from "../../../plugins/airflow_oncall/show/ui/lib/scale.js";

test("a scale is straight, also upside down and over nothing", () => {
  const y = linear([0, 10], [100, 0]);
  assert.deepEqual([y(0), y(5), y(10)], [100, 50, 0]);
  assert.equal(linear([3, 3], [0, 10])(3), 0);
});

test("marks are round whole numbers that reach the largest value", () => {
  assert.deepEqual(ticks(0), [0, 1]);
  assert.deepEqual(ticks(3), [0, 1, 2, 3]);
  assert.deepEqual(ticks(37), [0, 10, 20, 30, 40]);
  assert.equal(ticks(9_950).at(-1) >= 9_950, true);
});

test("a gap in the figures is a gap in the line", () => {
  assert.equal(path([[0, 1], [2, 3], null, [4, 5], [6, 7]]), "M0,1L2,3M4,5L6,7");
});

test("labels of an axis thin out, and the last one stays", () => {
  assert.deepEqual(labelled(3, 8), [0, 1, 2]);
  const places = labelled(31, 8);
  assert.equal(places.length <= 8, true);
  assert.equal(places.at(-1), 30);
});
