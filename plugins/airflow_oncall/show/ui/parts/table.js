/** Tables that scroll by themselves and can be scrolled with the keyboard. Long texts wrap, so that no cell hides those beside it. */

import { h, Ui } from "../host.js";

const WIDEST = "26rem";

/**
 * @param {{label: string, columns: Array<{name: string, isNumber?: boolean}|string>, rows: Array<{key: any, cells: any[]}>, isBusy?: boolean}} given
 */
export function Table({ label, columns, rows, isBusy = false }) {
  const heads = columns.map((one) => (typeof one === "string" ? { name: one } : one));
  return h(
    Ui.Table.ScrollArea,
    { tabIndex: 0, role: "region", "aria-label": label, "aria-busy": isBusy, opacity: isBusy ? 0.6 : 1 },
    h(
      Ui.Table.Root,
      { size: "sm", bg: "transparent" },
      h(
        Ui.Table.Header,
        null,
        h(
          Ui.Table.Row,
          { bg: "transparent" },
          heads.map(({ name, isNumber }) =>
            h(
              Ui.Table.ColumnHeader,
              { key: name, scope: "col", textAlign: isNumber ? "end" : "start", whiteSpace: "nowrap", color: "fg.muted" },
              name,
            ),
          ),
        ),
      ),
      h(
        Ui.Table.Body,
        null,
        rows.map(({ key, cells }) =>
          h(
            Ui.Table.Row,
            { key, bg: "transparent" },
            cells.map((cell, place) =>
              h(
                Ui.Table.Cell,
                {
                  key: heads[place].name,
                  textAlign: heads[place].isNumber ? "end" : "start",
                  verticalAlign: "top",
                },
                h(Ui.Box, { display: "inline-block", maxW: WIDEST, whiteSpace: "normal", overflowWrap: "break-word" }, cell),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}
