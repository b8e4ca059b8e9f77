import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";

const UI = new URL("../../../plugins/airflow_oncall/show/ui/", import.meta.url);
const anything = new Proxy({}, { get: () => anything });
Object.assign(globalThis, { React: { createElement: () => null }, ReactRouterDOM: anything, ChakraUI: anything });

test("every module loads, and what it takes from another one is there", async () => {
  const files = readdirSync(UI, { recursive: true }).filter((name) => name.endsWith(".js"));
  assert.equal(files.length > 30, true);
  for (const name of files) await import(new URL(name, UI));
});

test("Airflow finds a component under the name of each page", async () => {
  await import(new URL("main.js", UI));
  const names = ["Oncall", "Oncall incident", "Oncall incidents", "Oncall dashboard"];
  assert.deepEqual(
    names.map((name) => typeof globalThis[name]),
    names.map(() => "function"),
  );
});
