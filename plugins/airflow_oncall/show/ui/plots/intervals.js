/** Shares with how sure they are: a dot and its 95 % interval for each. */

import { h } from "../host.js";
import { between, percent } from "../lib/format.js";
import { linear } from "../lib/scale.js";
import { Figure, INK, Label } from "./figure.js";

const WIDTH = 540;
const ROW = 26;
const LEFT = 170;
const RIGHT = 100;
const TOP = 6;
const AXIS = 20;
const MARKS = [0, 0.25, 0.5, 0.75, 1];

/**
 * @param {{label: string, what: string, rows: Array<{name: string, share: number|null, low: number, high: number, number: number}>}} given
 *   `what`: what `number` counts
 */
export function Intervals({ label, what, rows }) {
  const x = linear([0, 1], [LEFT, WIDTH - RIGHT]);
  const height = TOP + rows.length * ROW + AXIS;
  return h(
    Figure,
    {
      width: WIDTH,
      height,
      label,
      columns: ["Name", { name: "Share", isNumber: true }, { name: "95 % interval", isNumber: true }, { name: what, isNumber: true }],
      rows: rows.map((row) => ({ key: row.name, cells: [row.name, percent(row.share), between(row.low, row.high), row.number] })),
    },
    MARKS.map((mark) =>
      h(
        "g",
        { key: mark },
        h("line", { x1: x(mark), x2: x(mark), y1: TOP, y2: height - AXIS, stroke: INK.grid }),
        h(Label, { x: x(mark), y: height - 5 }, percent(mark)),
      ),
    ),
    rows.map((row, place) => h(Row, { key: row.name, row, x, y: TOP + (place + 0.5) * ROW, what })),
  );
}

function Row({ row, x, y, what }) {
  return h(
    "g",
    null,
    h("title", null, `${row.name}: ${percent(row.share)} (${between(row.low, row.high)}), ${row.number} ${what}`),
    h(Label, { x: LEFT - 8, y: y + 4, anchor: "end" }, row.name),
    h("line", { x1: x(row.low), x2: x(row.high), y1: y, y2: y, stroke: INK.first, strokeWidth: 2 }),
    [row.low, row.high].map((edge, place) =>
      h("line", { key: place, x1: x(edge), x2: x(edge), y1: y - 5, y2: y + 5, stroke: INK.first, strokeWidth: 2 }),
    ),
    row.share !== null && h("circle", { cx: x(row.share), cy: y, r: 5, fill: INK.first }),
    h(Label, { x: WIDTH - RIGHT + 14, y: y + 4, anchor: "start" }, `${percent(row.share)} of ${row.number}`),
  );
}
