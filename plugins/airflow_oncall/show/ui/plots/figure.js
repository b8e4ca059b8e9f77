/** The frame of a plot: its name, what it shows in words, and its figures as a table. */

import { h, React, Ui } from "../host.js";
import { Table } from "../parts/table.js";

/** Colours that read on both of Airflow's themes. */
export const INK = {
  axis: "var(--chakra-colors-fg-muted)",
  grid: "var(--chakra-colors-border)",
  first: "var(--chakra-colors-blue-solid)",
  second: "var(--chakra-colors-green-solid)",
  third: "var(--chakra-colors-orange-solid)",
  fourth: "var(--chakra-colors-purple-solid)",
};
const FONT = 11;

/**
 * @param {{width: number, height: number, label: string, columns: any[], rows: any[], legend?: Array<[string, string, string?]>, children?: any}} given
 *   `label`: what a reader who cannot see it has to know; `legend`: names with their colours and dashes
 */
export function Figure({ width, height, label, columns, rows, legend = [], children }) {
  const id = React.useId();
  return h(
    Ui.Box,
    { as: "figure", m: 0, minW: 0 },
    h(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-labelledby": id,
        style: { width: "100%", maxWidth: `${width}px`, height: "auto", display: "block" },
      },
      h("title", { id }, label),
      children,
    ),
    legend.length > 0 &&
      h(
        Ui.Flex,
        { as: "figcaption", gap: 4, wrap: "wrap", fontSize: "xs", mt: 1 },
        legend.map((one) => h(Key, { key: one[0], one })),
      ),
    h(
      Ui.Box,
      { as: "details", fontSize: "xs", mt: 1 },
      h("summary", { style: { cursor: "pointer" } }, "As a table"),
      h(Table, { label, columns, rows }),
    ),
  );
}

function Key({ one: [name, colour, dashes] }) {
  const line = { x1: 0, x2: 18, y1: 5, y2: 5, stroke: colour, strokeWidth: 4, strokeDasharray: dashes };
  return h(
    Ui.Flex,
    { as: "span", gap: 1, align: "center" },
    h("svg", { width: 18, height: 10, "aria-hidden": true }, h("line", line)),
    name,
  );
}

/** A text in a plot. */
export function Label({ x, y, anchor = "middle", children, size = FONT }) {
  return h("text", { x, y, textAnchor: anchor, fill: INK.axis, style: { fontSize: `${size}px` } }, children);
}

/** A line across a plot with its number. */
export function Mark({ y, from, to, children }) {
  return h(
    "g",
    null,
    h("line", { x1: from, x2: to, y1: y, y2: y, stroke: INK.grid }),
    h(Label, { x: from - 4, y: y + 4, anchor: "end" }, children),
  );
}
