/** The story of an incident, step by step. */

import { h, Ui } from "../host.js";
import { title } from "../lib/format.js";
import { Panel } from "../parts/layout.js";
import { Moment } from "../parts/words.js";

const COLOURS = {
  noticed: "red",
  diagnosed: "orange",
  decided: "blue",
  asked: "purple",
  answered: "purple",
  acted: "cyan",
  verified: "green",
  closed: "gray",
  told: "yellow",
  feedback: "pink",
};

/** @param {{steps: Array<{at: string, what: string, actor: string, detail: string}>}} given */
export function Timeline({ steps }) {
  return h(
    Panel,
    { title: "Timeline" },
    h(
      Ui.Box,
      { as: "ol", listStyleType: "none" },
      steps.map((step, number) => h(Step, { key: number, step, isLast: number === steps.length - 1 })),
    ),
  );
}

function Step({ step, isLast }) {
  return h(
    Ui.Flex,
    { as: "li", gap: 3 },
    h(
      Ui.Flex,
      { direction: "column", align: "center", "aria-hidden": true },
      h(Ui.Box, {
        w: 3,
        h: 3,
        mt: 1,
        rounded: "full",
        flexShrink: 0,
        colorPalette: COLOURS[step.what] ?? "gray",
        bg: "colorPalette.solid",
      }),
      !isLast && h(Ui.Box, { w: "2px", flex: 1, bg: "border" }),
    ),
    h(
      Ui.Box,
      { pb: 3, minW: 0, fontSize: "sm" },
      h(
        Ui.Flex,
        { gap: 2, wrap: "wrap", align: "baseline" },
        h(Ui.Text, { as: "span", fontWeight: "semibold" }, title(step.what)),
        h(Ui.Box, { as: "span", color: "fg.muted", fontSize: "xs" }, h(Moment, { at: step.at }), step.actor && ` by ${step.actor}`),
      ),
      step.detail && h(Ui.Text, { overflowWrap: "anywhere" }, step.detail),
    ),
  );
}
