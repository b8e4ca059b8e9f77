import assert from "node:assert/strict";
import { test } from "node:test";
import { cut, inert, inertAll } from "../../../plugins/airflow_oncall/show/ui/lib/inert.js";

test("colours and titles of a terminal are left out", () => {
  assert.equal(inert("\u001b[1;31mERROR\u001b[0m \u001b]0;owned\u0007disk full"), "ERROR disk full");
  assert.equal(inert("\u009b31mred"), "red");
});

test("an escape that begins nothing is named", () => {
  assert.equal(inert("a\u001bb"), "a\u27e8U+001B\u27e9b");
});

test("control characters are named, tabs and line ends stay", () => {
  assert.equal(
    inert("a\u0000b\u0007c\td\ne\r\nf\rg\u007f"),
    "a\u27e8U+0000\u27e9b\u27e8U+0007\u27e9c\td\ne\nf\u27e8U+000D\u27e9g\u27e8U+007F\u27e9",
  );
});

test("what turns text around or cannot be seen is named", () => {
  assert.equal(inert("user\u202Etxt.exe"), "user\u27e8U+202E\u27e9txt.exe");
  assert.equal(
    inert("pay\u200Bpal \u2066x\u2069 \ufeff"),
    "pay\u27e8U+200B\u27e9pal \u27e8U+2066\u27e9x\u27e8U+2069\u27e9 \u27e8U+FEFF\u27e9",
  );
  assert.equal(inert("a\u{E0041}b"), "a\u27e8U+E0041\u27e9b");
});

test("markup stays the text that it is, and so do letters of every script", () => {
  const text = "<img src=x onerror=alert(1)> größer 数据 שלום 🚀";
  assert.equal(inert(text), text);
});

test("a whole answer is made inert, its names too, and an own __proto__ does nothing", () => {
  const answer = JSON.parse('{"a\\u202e": [{"b": "\\u001b[31mx"}, 1, null, true], "__proto__": {"polluted": "yes"}}');
  const made = inertAll(answer);
  assert.deepEqual(made["a\u27e8U+202E\u27e9"], [{ b: "x" }, 1, null, true]);
  assert.equal({}.polluted, undefined);
});

test("a long line is cut, never inside a character", () => {
  assert.deepEqual(cut("short", 10), { shown: "short", hidden: 0 });
  assert.deepEqual(cut("x".repeat(1_000_000), 400), { shown: "x".repeat(400), hidden: 999_600 });
  assert.deepEqual(cut("ab🚀cd", 3), { shown: "ab", hidden: 4 });
});

test("a megabyte of hostile text takes no more than a moment of one pass", () => {
  const hostile = "\u001b[".repeat(350_000) + "\u202e".repeat(100_000);
  assert.equal(inert(hostile).endsWith("\u27e8U+202E\u27e9"), true);
});
