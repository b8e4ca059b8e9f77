/** What stands in an entry. */

import { h, Ui } from "../host.js";
import { percent, title, words } from "../lib/format.js";
import { Facts } from "../parts/layout.js";
import { Block } from "../parts/text.js";
import { Small, Tag } from "../parts/words.js";

/** @param {{entry: object, isProposed?: boolean, seen?: string}} given `seen`: how its actions ended here */
export function Said({ entry, isProposed, seen }) {
  return h(
    "div",
    null,
    h(Facts, {
      facts: [
        ["State", isProposed && h(Tag, { name: "proposed, not confirmed", colour: "orange" })],
        ["Category", title(entry.category)],
        ["Fingerprint", entry.fingerprint],
        ["Pattern", entry.pattern && h(Ui.Code, { bg: "bg.subtle", color: "fg" }, entry.pattern)],
        ["Actions", entry.actions?.length > 0 && entry.actions.map(words).join(", ")],
        ["Confidence", percent(entry.confidence)],
        ["Seen here", seen],
        ["Notes", entry.notes],
        [
          "Runbook",
          isWebAddress(entry.runbook) &&
            h(Ui.Link, { href: entry.runbook, rel: "noopener noreferrer", target: "_blank", color: "fg.info" }, entry.runbook),
        ],
        ["Tags", entry.tags?.length > 0 && entry.tags.join(", ")],
        ["Special case of", entry.parent],
      ],
    }),
    entry.example && h(Small, null, "Example"),
    entry.example && h(Block, { text: entry.example, label: "Example" }),
  );
}

/** Whether it may become a link. @param {string|undefined} text */
function isWebAddress(text) {
  return /^https?:\/\//.test(text ?? "");
}
