/** Figures of a model over its versions, oldest first. */

import { h } from "../host.js";
import { figure } from "../lib/format.js";
import { labelled, linear, path } from "../lib/scale.js";
import { Figure, INK, Label, Mark } from "./figure.js";

const WIDTH = 560;
const HEIGHT = 220;
const LEFT = 40;
const BOTTOM = 24;
const LABELS = 6;
const LOOKS = [[INK.first], [INK.second, "8 4"], [INK.third, "2 3"], [INK.fourth, "10 3 2 3"]];

/**
 * @param {{label: string, versions: string[], series: Array<{name: string, values: Array<number|null>}>}} given
 *   values between 0 and 1, one for each version
 */
export function Versions({ label, versions, series }) {
  const x = linear([0, Math.max(versions.length - 1, 1)], [LEFT + 14, WIDTH - 30]);
  const y = linear([0, 1], [HEIGHT - BOTTOM, 10]);
  return h(
    Figure,
    {
      width: WIDTH,
      height: HEIGHT,
      label,
      legend: series.map(({ name }, place) => [name, ...LOOKS[place % LOOKS.length]]),
      columns: ["Version", ...series.map(({ name }) => ({ name, isNumber: true }))],
      rows: versions.map((version, place) => ({ key: version, cells: [version, ...series.map(({ values }) => figure(values[place]))] })),
    },
    [0, 0.25, 0.5, 0.75, 1].map((mark) => h(Mark, { key: mark, y: y(mark), from: LEFT, to: WIDTH }, mark)),
    labelled(versions.length, LABELS).map((place) => h(Label, { key: place, x: x(place), y: HEIGHT - 6 }, versions[place])),
    series.map((one, place) => h(Series, { key: one.name, one, versions, look: LOOKS[place % LOOKS.length], x, y })),
  );
}

function Series({ one, versions, look: [colour, dashes], x, y }) {
  const points = one.values.map((value, place) => (value === null ? null : [x(place), y(value)]));
  return h(
    "g",
    null,
    h("path", { d: path(points), fill: "none", stroke: colour, strokeWidth: 2, strokeDasharray: dashes }),
    points.map(
      (point, place) =>
        point &&
        h(
          "circle",
          { key: place, cx: point[0], cy: point[1], r: 3.5, fill: colour },
          h("title", null, `${one.name} of ${versions[place]}: ${figure(one.values[place])}`),
        ),
    ),
  );
}
