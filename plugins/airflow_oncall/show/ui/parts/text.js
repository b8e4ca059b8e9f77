/** Long texts from outside: line by line, the decisive ones marked, what is very long cut. */

import { h, React, Ui } from "../host.js";
import { counted } from "../lib/format.js";
import { cut } from "../lib/inert.js";

const LINES = 60;

/**
 * @param {{lines: Array<{text: string, decisive?: boolean}>, label: string}} given
 */
export function Lines({ lines, label }) {
  const [isWhole, setWhole] = React.useState(false);
  const shown = isWhole ? lines : beginningAndDecisive(lines);
  return h(
    Ui.Box,
    null,
    h(
      Ui.Box,
      {
        as: "ol",
        role: "list",
        "aria-label": label,
        tabIndex: 0,
        fontFamily: "mono",
        fontSize: "xs",
        bg: "bg.subtle",
        rounded: "md",
        p: 2,
        maxH: "28rem",
        overflow: "auto",
        listStyleType: "none",
      },
      shown.map(({ number, text, decisive }) => h(Line, { key: number, number, text, decisive })),
    ),
    shown.length < lines.length &&
      h(Ui.Button, { size: "xs", variant: "outline", mt: 2, onClick: () => setWhole(true) }, `Show all ${counted(lines.length, "line")}`),
  );
}

/** A text without marks. @param {{text: string, label: string}} given */
export function Block({ text, label }) {
  return h(Lines, { lines: text.split("\n").map((line) => ({ text: line })), label });
}

function Line({ number, text, decisive }) {
  const [isWhole, setWhole] = React.useState(false);
  const { shown, hidden } = isWhole ? { shown: text, hidden: 0 } : cut(text);
  return h(
    Ui.Box,
    {
      as: "li",
      display: "flex",
      gap: 2,
      px: 1,
      borderStartWidth: "3px",
      borderColor: decisive ? "orange.solid" : "transparent",
      bg: decisive ? "orange.subtle" : undefined,
      fontWeight: decisive ? "semibold" : undefined,
    },
    h(Ui.Box, { as: "span", color: "fg.muted", userSelect: "none", minW: "2.5rem", textAlign: "end", "aria-hidden": true }, number + 1),
    h(
      Ui.Box,
      { as: "span", whiteSpace: "pre-wrap", overflowWrap: "anywhere", minW: 0 },
      decisive && h(Ui.VisuallyHidden, null, "Decisive: "),
      shown,
      hidden > 0 && "… ",
      hidden > 0 &&
        h(
          Ui.Button,
          { size: "2xs", variant: "outline", onClick: () => setWhole(true) },
          `Show all (${hidden.toLocaleString("en")} more characters)`,
        ),
    ),
  );
}

/** The end says most; of the rest only what decided is shown. */
function beginningAndDecisive(lines) {
  const numbered = lines.map((line, number) => ({ ...line, number }));
  return numbered.filter((line) => line.decisive || line.number >= lines.length - LINES);
}
