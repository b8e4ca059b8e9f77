/** Which category was taken for which: a table, because its numbers are to be read. */

import { h, Ui } from "../host.js";
import { words } from "../lib/format.js";

/** @param {{confusion: Record<string, Record<string, number>>, label: string}} given label -> answer -> rows */
export function Confusion({ confusion, label }) {
  const labels = Object.keys(confusion).sort();
  const answers = [...new Set([...labels, ...Object.values(confusion).flatMap(Object.keys)])].sort();
  return h(
    Ui.Box,
    { overflow: "auto", tabIndex: 0, role: "region", "aria-label": label, fontSize: "xs" },
    h(
      "table",
      { style: { borderCollapse: "separate", borderSpacing: "2px" } },
      h(
        "caption",
        { style: { captionSide: "top", textAlign: "start", paddingBottom: "4px" } },
        "Rows: what it was. Columns: what the model said. Right answers are framed.",
      ),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          h("td"),
          answers.map((answer) => h(Head, { key: answer, scope: "col" }, words(answer))),
        ),
      ),
      h(
        "tbody",
        null,
        labels.map((name) => h(Row, { key: name, name, counts: confusion[name], answers })),
      ),
    ),
  );
}

function Row({ name, counts, answers }) {
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0) || 1;
  const cells = answers.map((answer) => {
    const count = counts[answer] ?? 0;
    const strength = Math.round((count / total) * 60);
    const background = count
      ? `color-mix(in srgb, var(--chakra-colors-blue-solid) ${strength}%, var(--chakra-colors-bg-panel))`
      : undefined;
    const outline = answer === name ? "2px solid var(--chakra-colors-green-solid)" : undefined;
    const style = { background, outline, textAlign: "center", minWidth: "2.2rem", padding: "3px" };
    return h("td", { key: answer, style, title: `${words(name)} called ${words(answer)}: ${count}` }, count || "");
  });
  return h("tr", null, h(Head, { scope: "row" }, words(name)), cells);
}

function Head({ scope, children }) {
  const upright =
    scope === "col"
      ? { writingMode: "vertical-rl", transform: "rotate(180deg)", textAlign: "start" }
      : { textAlign: "end", whiteSpace: "nowrap" };
  return h("th", { scope, style: { ...upright, fontWeight: "normal", padding: "3px", color: "var(--chakra-colors-fg-muted)" } }, children);
}
