/** Champion and challengers: their figures over the versions, and what the champion mixes up. */

import { h, React, Ui } from "../host.js";
import { figure, title } from "../lib/format.js";
import { Choice } from "../parts/form.js";
import { Columns, Nothing } from "../parts/layout.js";
import { Loaded } from "../parts/loaded.js";
import { Table } from "../parts/table.js";
import { Small, Tag, When } from "../parts/words.js";
import { Confusion } from "../plots/confusion.js";
import { Reliability } from "../plots/reliability.js";
import { Versions } from "../plots/versions.js";
import { confusionOf, figuresOf, newestFirst, reliabilityOf, rowsOf } from "../lib/reports.js";

const COLOURS = { champion: "green", predecessor: "blue", "rolled back": "red", "not promoted": "gray" };
const FIGURES = {
  accuracy_strict: "Accuracy",
  macro_f1_lenient: "Macro-F1",
  transient_precision: "Transient precision",
  transient_recall: "Transient recall",
  brier: "Brier score",
  ece: "Calibration error",
};
const PLOTTED = ["accuracy_strict", "macro_f1_lenient", "transient_precision", "ece"];
const COLUMNS = [
  "Version",
  "State",
  "Trained",
  ...Object.values(FIGURES).map((name) => ({ name, isNumber: true })),
  { name: "Rows", isNumber: true },
  "Gate",
];

export function Models() {
  return h(Loaded, {
    title: "Champion and challengers",
    path: "models",
    children: ({ items }) =>
      items.length ? h(Shown, { models: newestFirst(items) }) : h(Nothing, null, "Nothing was trained yet; rules decide until then."),
  });
}

function Shown({ models }) {
  const names = [...new Set(models.map((one) => one.name))];
  const [name, setName] = React.useState(names[0]);
  const versions = models.filter((one) => one.name === name);
  const champion = versions.find((one) => one.state === "champion") ?? versions[0];
  return h(
    "div",
    null,
    names.length > 1 &&
      h(
        Ui.Box,
        { maxW: "14rem", mb: 3 },
        h(Choice, { label: "Model", value: name, choices: Object.fromEntries(names.map((one) => [one, title(one)])), onChange: setName }),
      ),
    h(Table, { label: `Versions of the model ${name}`, columns: COLUMNS, rows: versions.map(row) }),
    h(Small, null, "Figures over the versions, on rows that the version never saw"),
    h(Ui.Box, { maxW: "48rem" }, h(OverVersions, { versions: [...versions].reverse() })),
    h(Champion, { champion }),
  );
}

function row(model) {
  const figures = figuresOf(model);
  const gate = model.metrics.gate;
  return {
    key: model.version,
    cells: [
      model.version,
      h(Tag, { name: model.state, colour: COLOURS[model.state] }),
      h(When, { at: model.trained_at }),
      ...Object.keys(FIGURES).map((name) => figure(figures[name])),
      figure(rowsOf(model)),
      gate ? h(Ui.Box, { minW: "14rem" }, gate.is_open ? "open" : `shut: ${(gate.reasons ?? []).join("; ")}`) : "",
    ],
  };
}

function OverVersions({ versions }) {
  const measured = versions.filter((one) => Object.keys(figuresOf(one)).length > 0);
  if (!measured.length) return h(Nothing, null, "No version was measured yet.");
  const series = PLOTTED.map((name) => ({ name: FIGURES[name], values: measured.map((one) => figuresOf(one)[name] ?? null) }));
  return h(Versions, {
    label: `Figures of ${measured.length} versions of the model ${measured[0].name}`,
    versions: measured.map((one) => one.version),
    series,
  });
}

function Champion({ champion }) {
  const [confusion, bins] = [confusionOf(champion), reliabilityOf(champion)];
  const notes = champion.metrics.notes ?? [];
  return h(
    "div",
    null,
    h(
      Columns,
      { min: "24rem" },
      h(
        "div",
        null,
        h(Small, null, `Confusion of ${champion.version}`),
        Object.keys(confusion).length
          ? h(Confusion, { confusion, label: `Confusion matrix of ${champion.version}` })
          : h(Nothing, null, "Not measured."),
      ),
      h(
        "div",
        null,
        h(Small, null, `Reliability of ${champion.version}`),
        bins.length ? h(Reliability, { label: `Reliability curve of ${champion.version}`, bins }) : h(Nothing, null, "Not measured."),
      ),
    ),
    notes.length > 0 && h(Small, null, "Notes of its training"),
    h(
      Ui.Box,
      { as: "ul", ps: 5, fontSize: "sm", listStyleType: "disc" },
      notes.map((note, key) => h("li", { key }, note)),
    ),
  );
}
