/** Filters that are typed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { field, write } from "./hands.mjs";
import { serve } from "./server.mjs";
import { address, pass, show } from "./stage.mjs";

const UI = "../../../plugins/airflow_oncall/show/ui/";
const { h } = await import(`${UI}host.js`);
const { Filters, useFilters } = await import(`${UI}incidents/filters.js`);

const TYPED = ["0002-01-01T00:00", "0020-01-01T00:00", "0202-01-01T00:00", "2026-01-01T00:00"]; // as Chromium reports it, digit by digit
const MIDNIGHT = new Date("2026-01-01T00:00").toISOString();
const PAUSE = 1;

function Page() {
  return h(Filters, { ...useFilters(), sources: [] });
}

/** The page with this address. */
async function opened(query) {
  serve({ "GET dags": () => ({ dags: [] }) });
  await show(h(Page), query);
}

const since = () => new URLSearchParams(address()).get("since");

test("while a year is typed its field is left alone, and the address has no year that nobody meant", async () => {
  await opened("within=between");
  for (const typed of TYPED) {
    await write("From", typed);
    assert.equal(field("From").props.value, typed);
    assert.equal(since(), null);
  }
  await pass(PAUSE);
  assert.equal(field("From").props.value, TYPED.at(-1));
  assert.equal(since(), MIDNIGHT);
});

test("a pause in the middle of a year changes neither the field nor what was filtered so far", async () => {
  await opened(`within=between&since=${MIDNIGHT}`);
  await write("From", TYPED[0]);
  await pass(PAUSE);
  assert.equal(field("From").props.value, TYPED[0]);
  assert.equal(since(), MIDNIGHT);
});

test("a field that is emptied filters no more", async () => {
  await opened(`within=between&since=${MIDNIGHT}`);
  await write("From", "");
  await pass(PAUSE);
  assert.equal(since(), null);
});
