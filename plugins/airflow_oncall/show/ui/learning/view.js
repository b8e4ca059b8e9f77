/** How good the system is, and whether it gets better. */

import { h } from "../host.js";
import { Tiles, useStatistics } from "../incidents/overview.js";
import { percent, words } from "../lib/format.js";
import { Columns, Loading, Nothing, Panel, Rows } from "../parts/layout.js";
import { Trouble } from "../parts/trouble.js";
import { Intervals } from "../plots/intervals.js";
import { Reliability } from "../plots/reliability.js";
import { Drift } from "./drift.js";
import { Models } from "./models.js";
import { Shadow } from "./shadow.js";
import { Experiments } from "./experiments.js";

export function LearningView() {
  const { data, failure, reload } = useStatistics();
  return h(
    Rows,
    null,
    h(
      Panel,
      { title: "Repairs of the last 30 days" },
      h(Trouble, { failure, again: reload }),
      !data && !failure && h(Loading, { what: "figures" }),
      data && h(Tiles, { data }),
    ),
    data && h(Columns, { min: "28rem" }, h(Actions, { rows: data.success_per_action }), h(Calibration, { bins: data.calibration })),
    h(Models),
    h(Columns, { min: "28rem" }, h(Drift), h(Experiments)),
    h(Shadow),
  );
}

function Actions({ rows }) {
  const shown = rows.map((row) => {
    const number = row.successes + row.failures;
    return { name: words(row.action), share: number ? row.successes / number : null, low: row.low, high: row.high, number };
  });
  const label = `How often each action helped: ${shown.map((row) => `${row.name} ${percent(row.share)} of ${row.number}`).join(", ")}`;
  return h(
    Panel,
    { title: "Success per action" },
    shown.length ? h(Intervals, { label, what: "actions", rows: shown }) : h(Nothing, null, "No action was seen to its end yet."),
  );
}

function Calibration({ bins }) {
  return h(
    Panel,
    { title: "Reliability of decisions" },
    bins.length
      ? h(Reliability, { label: "Probability that decisions gave, against the share of actions that helped", bins })
      : h(Nothing, null, "No action was seen to its end yet."),
  );
}
