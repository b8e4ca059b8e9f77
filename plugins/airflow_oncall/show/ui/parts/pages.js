/** The way from page to page of a list. */

import { h, Ui } from "../host.js";

/**
 * @param {{label: string, cursor: string, next: string|null|undefined, onPage: (cursor: string) => void, first?: string, more?: string,
 *   children?: any}} given `cursor`: of the page that is shown, empty for the first one; `children`: what is said beneath the first one
 */
export function Pages({ label, cursor, next, onPage, first = "Newest", more = "Older", children }) {
  if (!cursor && !next && !children) return null;
  const button = (name, to) => h(Ui.Button, { size: "xs", variant: "outline", onClick: () => onPage(to) }, name);
  return h(
    Ui.Flex,
    { as: "nav", "aria-label": label, gap: 3, mt: 3, align: "center", fontSize: "sm", color: "fg.muted" },
    !cursor && children,
    cursor && button(first, ""),
    next && button(more, next),
  );
}
