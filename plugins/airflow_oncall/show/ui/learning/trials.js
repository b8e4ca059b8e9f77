/** Experiments between actions, and what repairs gain over none. */

import { h, Ui } from "../host.js";
import { between, minutes, percent, title, words } from "../lib/format.js";
import { Facts, Nothing } from "../parts/layout.js";
import { Loaded } from "../parts/loaded.js";
import { Small, Tag } from "../parts/words.js";
import { Intervals } from "../plots/intervals.js";

export function Trials() {
  return h(Loaded, {
    title: "Experiments",
    path: "experiments",
    children: (data) => [h(Holdout, { key: "holdout", holdout: data.holdout }), h(Experiments, { key: "all", items: data.items })],
  });
}

function Holdout({ holdout }) {
  if (!holdout) return h(Nothing, null, "No repair was left out on purpose, so what repairs gain over none is not measured.");
  const side = ({ successes, failures, minutes: took }) => `${successes} of ${successes + failures} succeeded, in ${minutes(took)}`;
  return h(Facts, {
    facts: [
      ["Repaired", side(holdout.repaired)],
      ["Left out", side(holdout.left_out)],
      ["Repairs gain", `${percent(holdout.difference)} (${between(holdout.low, holdout.high)})`],
    ],
  });
}

function Experiments({ items }) {
  if (!items.length) return h(Nothing, null, "No experiment was started; see airflow oncall experiment --help.");
  return items.map((one) => h(Experiment, { key: one.name, one }));
}

function Experiment({ one }) {
  const rows = one.arms.map((arm) => ({
    name: words(arm.arm),
    share: arm.mean,
    low: arm.low,
    high: arm.high,
    number: arm.successes + arm.failures,
  }));
  const best = one.arms[0];
  return h(
    Ui.Box,
    { mt: 3 },
    h(Small, null, one.name),
    h(
      Ui.Flex,
      { gap: 2, fontSize: "sm", align: "center", wrap: "wrap", mb: 2 },
      h(Tag, { name: one.stopped_at ? "stopped" : "running", colour: one.stopped_at ? "gray" : "blue" }),
      h("span", null, title(one.category)),
      best && h("span", null, `best so far: ${words(best.arm)}, ${percent(best.best)} likely`),
    ),
    h(Intervals, { label: `Arms of the experiment ${one.name}`, what: "incidents", rows }),
  );
}
