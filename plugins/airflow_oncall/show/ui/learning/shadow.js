/** What would have been done while the system only watched, and how often that would have been right. */

import { h, Ui } from "../host.js";
import { figure, minutes, percent, title, words } from "../lib/format.js";
import { Columns, Facts, Nothing } from "../parts/layout.js";
import { Loaded } from "../parts/loaded.js";
import { Table } from "../parts/table.js";
import { Small } from "../parts/words.js";
import { Intervals } from "../plots/intervals.js";

const COLUMNS = [
  "It would",
  ...["Decisions", "Re-run succeeded", "Re-run failed", "Not known", "Share that succeeded", "Expected"].map((name) => ({
    name,
    isNumber: true,
  })),
];
const DAYS = 30;

export function Shadow() {
  return h(Loaded, {
    title: "Shadow report",
    path: "shadow",
    query: { days: DAYS },
    children: (data) =>
      data.failures ? h(Report, { report: data }) : h(Nothing, null, `In the last ${DAYS} days nothing was decided in mode shadow.`),
  });
}

function Report({ report }) {
  const { savings } = report;
  const rows = Object.entries(report.would).map(([name, hits]) => ({
    key: name,
    cells: [title(name), hits.decisions, hits.succeeded, hits.failed, hits.not_known, percent(hits.share), percent(hits.expected)],
  }));
  const repairs = Object.entries(report.by_category).filter(([, hits]) => hits.share !== null);
  const shares = repairs.map(([name, hits]) => ({
    name: words(name),
    share: hits.share,
    low: hits.low,
    high: hits.high,
    number: hits.succeeded + hits.failed,
  }));
  return h(
    "div",
    null,
    h(Table, { label: "What would have been done", columns: COLUMNS, rows }),
    h(
      Columns,
      null,
      h(
        "div",
        null,
        h(Small, null, "What repairs would have saved"),
        h(Facts, {
          facts: [
            ["Failures", report.failures],
            ["Still open", report.still_open],
            ["Healed by Airflow's retries", `${report.self_healed}, which are not counted above`],
            ["Time to repair", `${minutes(savings.minutes_with)} with repairs, ${minutes(savings.minutes_without)} as it was`],
            ["Hours saved", figure(savings.hours_saved)],
            ["Spent on wrong repairs", `${figure(savings.attempt_minutes_spent)} min of tries`],
            ["Spared by telling people", `${figure(savings.attempt_minutes_saved)} min of tries`],
          ],
        }),
      ),
      shares.length > 0 &&
        h(
          "div",
          null,
          h(Small, null, "Repairs that would have been right"),
          h(Intervals, { label: "Share of right repairs by category", what: "repairs", rows: shares }),
        ),
    ),
    h(
      Ui.Box,
      { as: "details", fontSize: "sm", mt: 2 },
      h("summary", { style: { cursor: "pointer" } }, "What this cannot tell"),
      h(
        Ui.Box,
        { as: "ul", ps: 5, listStyleType: "disc" },
        report.not_known.map((one, key) => h("li", { key }, one)),
      ),
    ),
  );
}
