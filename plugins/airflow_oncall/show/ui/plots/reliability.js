/** Whether what is called 80 % likely comes true in 80 % of the cases. */

import { h } from "../host.js";
import { percent } from "../lib/format.js";
import { linear, path } from "../lib/scale.js";
import { Figure, INK, Label, Mark } from "./figure.js";

const SIZE = 300;
const LEFT = 46;
const RIGHT = 20;
const BOTTOM = 34;
const MARKS = [0, 0.25, 0.5, 0.75, 1];
const LEAST_RADIUS = 3;
const MOST_RADIUS = 9;

/** @param {{label: string, bins: Array<{expected: number, observed: number, number: number}>}} given */
export function Reliability({ label, bins }) {
  const x = linear([0, 1], [LEFT, SIZE - RIGHT]);
  const y = linear([0, 1], [SIZE - BOTTOM, 8]);
  const most = Math.max(...bins.map((bin) => bin.number), 1);
  const radius = (number) => LEAST_RADIUS + (MOST_RADIUS - LEAST_RADIUS) * Math.sqrt(number / most);
  return h(
    Figure,
    {
      width: SIZE,
      height: SIZE,
      label,
      legend: [
        ["measured", INK.first],
        ["as it should be", INK.axis, "4 3"],
      ],
      columns: [
        { name: "Stated", isNumber: true },
        { name: "Came true", isNumber: true },
        { name: "Cases", isNumber: true },
      ],
      rows: bins.map((bin, key) => ({ key, cells: [percent(bin.expected), percent(bin.observed), bin.number] })),
    },
    MARKS.map((mark) => h(Mark, { key: mark, y: y(mark), from: LEFT, to: SIZE - RIGHT }, percent(mark))),
    MARKS.map((mark) => h(Label, { key: mark, x: x(mark), y: SIZE - BOTTOM + 14 }, percent(mark))),
    h(Label, { x: x(0.5), y: SIZE - 4 }, "stated probability"),
    h("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), stroke: INK.axis, strokeDasharray: "4 3" }),
    h("path", { d: path(bins.map((bin) => [x(bin.expected), y(bin.observed)])), fill: "none", stroke: INK.first, strokeWidth: 2 }),
    bins.map((bin, key) =>
      h(
        "circle",
        { key, cx: x(bin.expected), cy: y(bin.observed), r: radius(bin.number), fill: INK.first },
        h("title", null, `stated ${percent(bin.expected)}, came true ${percent(bin.observed)}, ${bin.number} cases`),
      ),
    ),
  );
}
