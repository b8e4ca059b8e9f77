/** Boxes that pages are made of. */

import { h, React, Ui } from "../host.js";

/**
 * A part of a page under its heading.
 * @param {{title: string, more?: any, children?: any}} given `more`: what stands at the end of the heading's line
 */
export function Panel({ title, more, children }) {
  const id = React.useId();
  return h(
    Ui.Box,
    { as: "section", "aria-labelledby": id, borderWidth: "1px", borderColor: "border", rounded: "md", p: 4, bg: "bg.panel", minW: 0 },
    h(
      Ui.Flex,
      { justify: "space-between", align: "center", gap: 3, mb: 3, wrap: "wrap" },
      h(Ui.Heading, { as: "h2", id, size: "md", minW: 0, overflowWrap: "anywhere" }, title),
      more,
    ),
    children,
  );
}

/** Panels side by side where there is room. */
export function Columns({ children, min = "22rem" }) {
  return h(
    Ui.Box,
    { display: "grid", gridTemplateColumns: `repeat(auto-fit, minmax(min(${min}, 100%), 1fr))`, gap: 4, alignItems: "start" },
    children,
  );
}

/** Parts below each other. */
export function Rows({ children, gap = 4 }) {
  return h(Ui.Stack, { gap }, children);
}

/** Where a page is drawn. Airflow gives it the whole room beside its own navigation. */
export function Page({ children, label }) {
  return h(
    Ui.Box,
    { as: "main", "aria-label": label, "data-oncall": "", p: { base: 2, md: 4 }, bg: "bg", color: "fg", minH: "100%", overflowX: "hidden" },
    h(Rows, null, children),
  );
}

/**
 * Names and their values. What is empty is left out.
 * @param {{facts: Array<[string, any]>}} given
 */
export function Facts({ facts }) {
  const known = facts.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return h(
    Ui.Box,
    { as: "dl", display: "grid", gridTemplateColumns: "minmax(7rem, max-content) 1fr", columnGap: 4, rowGap: 1, fontSize: "sm" },
    known.flatMap(([name, value]) => [
      h(Ui.Box, { as: "dt", key: `${name}:name`, color: "fg.muted" }, name),
      h(Ui.Box, { as: "dd", key: name, overflowWrap: "anywhere", minW: 0 }, value),
    ]),
  );
}

/** One large figure with its name. */
export function Tile({ name, value, note }) {
  return h(
    Ui.Box,
    { borderWidth: "1px", borderColor: "border", rounded: "md", px: 4, py: 2, bg: "bg.panel", minW: "8rem" },
    h(Ui.Text, { fontSize: "xs", color: "fg.muted" }, name),
    h(Ui.Text, { fontSize: "2xl", fontWeight: "semibold", lineHeight: "short" }, value),
    note && h(Ui.Text, { fontSize: "xs", color: "fg.muted" }, note),
  );
}

/** Says that there is nothing. */
export function Nothing({ children }) {
  return h(Ui.Text, { color: "fg.muted", fontSize: "sm" }, children);
}

/** Says that something is being loaded, to everybody. */
export function Loading({ what }) {
  return h(
    Ui.Flex,
    { role: "status", align: "center", gap: 2, color: "fg.muted", fontSize: "sm" },
    h(Ui.Spinner, { size: "sm" }),
    `Loading ${what} …`,
  );
}
