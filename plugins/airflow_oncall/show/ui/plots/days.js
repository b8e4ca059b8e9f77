/** What opened and how it ended, day by day. */

import { h } from "../host.js";
import { labelled, linear, ticks } from "../lib/scale.js";
import { Nothing } from "../parts/layout.js";
import { Figure, INK, Label, Mark } from "./figure.js";

const WIDTH = 640;
const HEIGHT = 200;
const LEFT = 34;
const RIGHT = 16;
const BOTTOM = 22;
const SERIES = [
  ["opened", "opened", INK.first],
  ["resolved", "repaired", INK.second],
  ["self_healed", "healed by themselves", INK.third],
  ["escalated", "told to people", INK.fourth],
];
const DATES = 8;

/** @param {{days: Array<{day: string, opened: number, resolved: number, self_healed: number, escalated: number}>}} given */
export function Days({ days }) {
  const isEmpty = days.every((day) => SERIES.every(([name]) => day[name] === 0));
  return isEmpty ? h(Nothing, null, "There was none in this time.") : h(Plot, { days });
}

function Plot({ days }) {
  const marks = ticks(Math.max(...days.flatMap((day) => SERIES.map(([name]) => day[name])), 1));
  const x = linear([0, days.length], [LEFT, WIDTH - RIGHT]);
  const y = linear([0, marks.at(-1)], [HEIGHT - BOTTOM, 8]);
  const dated = new Set(labelled(days.length, DATES));
  const total = (name) => days.reduce((sum, day) => sum + day[name], 0);
  return h(
    Figure,
    {
      width: WIDTH,
      height: HEIGHT,
      legend: SERIES.map(([, name, colour]) => [name, colour]),
      columns: ["Day (UTC)", ...SERIES.map(([, name]) => ({ name, isNumber: true }))],
      rows: days.map((day) => ({ key: day.day, cells: [day.day, ...SERIES.map(([name]) => day[name])] })),
      label: `Incidents of ${days.length} days: ${SERIES.map(([name, text]) => `${total(name)} ${text}`).join(", ")}`,
    },
    marks.map((mark) => h(Mark, { key: mark, y: y(mark), from: LEFT, to: WIDTH - RIGHT }, mark)),
    days.map((day, place) =>
      h(
        "g",
        { key: day.day },
        h(Bars, { day, left: x(place), width: x(place + 1) - x(place), y }),
        dated.has(place) && h(Label, { x: x(place + 0.5), y: HEIGHT - 6 }, day.day.slice(5)),
      ),
    ),
  );
}

function Bars({ day, left, width, y }) {
  const bar = (width * 0.84) / SERIES.length;
  return SERIES.map(([name, text, colour], place) =>
    h(
      "rect",
      {
        key: name,
        x: left + width * 0.08 + place * bar,
        width: Math.max(bar - 0.5, 0.5),
        y: y(day[name]),
        height: y(0) - y(day[name]),
        fill: colour,
      },
      h("title", null, `${day.day}: ${day[name]} ${text}`),
    ),
  );
}
