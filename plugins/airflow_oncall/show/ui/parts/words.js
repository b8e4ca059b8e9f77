/** Words of the trade, drawn alike on every page. */

import { h, Router, Ui } from "../host.js";
import { serverNow } from "../lib/api.js";
import { ago, moment, utc, words } from "../lib/format.js";

const STATE_COLOURS = {
  watching: "gray",
  open: "red",
  diagnosed: "orange",
  asked: "purple",
  acting: "blue",
  waiting: "blue",
  escalated: "red",
  observed: "gray",
  verifying: "cyan",
  held: "yellow",
  resolved: "green",
  self_healed: "green",
  closed: "gray",
  probing: "blue",
  releasing: "cyan",
};
const SEVERITY_COLOURS = { low: "gray", medium: "yellow", high: "orange", critical: "red" };

/** @param {{name: string, colour?: string, text?: string}} given `text`: what is shown instead of the name's words */
export function Tag({ name, colour = "gray", text = words(name) }) {
  return h(Ui.Badge, { colorPalette: colour, bg: "colorPalette.subtle", color: "fg", variant: "subtle", whiteSpace: "nowrap" }, text);
}

/** State of an incident or a storm. */
export function State({ state }) {
  return h(Tag, { name: state, colour: STATE_COLOURS[state] });
}

export function Severity({ severity }) {
  return severity ? h(Tag, { name: severity, colour: SEVERITY_COLOURS[severity] }) : null;
}

/** When: as long ago, with the exact time in both zones at hand. */
export function When({ at }) {
  if (!at) return null;
  return h(Ui.Box, { as: "time", dateTime: at, title: `${moment(at)} (${utc(at)})`, whiteSpace: "nowrap" }, ago(at, serverNow()));
}

/** The same, written out. */
export function Moment({ at }) {
  return at ? h(Ui.Box, { as: "time", dateTime: at, title: utc(at) }, moment(at)) : null;
}

/** A link to a page of Airflow, ours among them. @param {{to: string, children?: any}} given */
export function To({ to, children, ...more }) {
  const looks = { display: "inline", overflowWrap: "anywhere", color: "fg.info", textDecoration: "underline" };
  return h(Ui.Link, { asChild: true, ...looks, ...more }, h(Router.Link, { to }, children));
}

/** A heading inside a panel. */
export function Small({ children }) {
  return h(Ui.Heading, { as: "h3", size: "sm", mt: 3, mb: 1 }, children);
}
