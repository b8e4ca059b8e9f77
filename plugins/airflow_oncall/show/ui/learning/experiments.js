/** Experiments between actions, and what repairs gain over none. */

import { h, Ui } from "../host.js";
import { minutes, percent, title, words } from "../lib/format.js";
import { Facts, Nothing } from "../parts/layout.js";
import { Loaded } from "../parts/loaded.js";
import { Small, Tag } from "../parts/words.js";
import { Intervals } from "../plots/intervals.js";

export function Experiments() {
  return h(Loaded, {
    title: "Experiments",
    path: "experiments",
    children: (data) => [h(Holdout, { key: "holdout", holdout: data.holdout }), h(Compared, { key: "all", items: data.items })],
  });
}

function Holdout({ holdout }) {
  if (!holdout) return h(Nothing, null, "No repair was left out on purpose, so what repairs gain over none is not measured.");
  const side = ({ successes, failures, minutes: took }) =>
    `${successes} of ${successes + failures} succeeded within the hour${took === null ? "" : `, the median in ${minutes(took)}`}`;
  return h(
    "div",
    null,
    h(Small, null, "What repairs gain over none"),
    h(Facts, {
      facts: [
        ["Repaired", side(holdout.repaired)],
        ["Left out on purpose", side(holdout.left_out)],
        ["Gain", `${points(holdout.difference)} percentage points (95 %: ${points(holdout.low)} to ${points(holdout.high)})`],
      ],
    }),
  );
}

/** A difference of shares. @param {number} share */
function points(share) {
  return `${share < 0 ? "−" : "+"}${Math.abs(Math.round(share * 100))}`;
}

function Compared({ items }) {
  if (!items.length) return h(Nothing, null, "No experiment was started; see airflow oncall experiments --help.");
  return items.map((one) => h(Experiment, { key: one.name, one }));
}

function Experiment({ one }) {
  const rows = one.arms.map((arm) => {
    const number = arm.successes + arm.failures;
    return { name: words(arm.arm), share: number ? arm.successes / number : null, low: arm.low, high: arm.high, number };
  });
  const best = rows.some((row) => row.number) && one.arms[0];
  const underWay = one.arms.reduce((sum, arm) => sum + arm.under_way, 0);
  return h(
    Ui.Box,
    { mt: 3 },
    h(Small, null, one.name),
    h(
      Ui.Flex,
      { gap: 2, fontSize: "sm", align: "center", wrap: "wrap", mb: 2 },
      h(Tag, { name: one.stopped_at ? "stopped" : "running", colour: one.stopped_at ? "gray" : "blue" }),
      h("span", null, title(one.category)),
      h("span", null, best ? `best so far: ${words(best.arm)}, ${percent(best.best)} likely` : "no result yet"),
      underWay > 0 && h("span", null, `${underWay} under way`),
    ),
    best
      ? h(Intervals, { label: `Arms of the experiment ${one.name}`, what: "incidents", rows })
      : h(Nothing, null, `It compares ${rows.map((row) => row.name).join(" and ")}.`),
  );
}
