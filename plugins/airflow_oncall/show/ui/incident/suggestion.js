/** What a language model suggests: text that nobody has checked, and that nothing acts on. */

import { h, Ui } from "../host.js";
import { title } from "../lib/format.js";
import { Facts, Panel } from "../parts/layout.js";
import { Moment, Small, Tag } from "../parts/words.js";

/** @param {{suggestion: object | null}} given */
export function Suggestion({ suggestion }) {
  if (!suggestion) return null;
  return h(
    Panel,
    { title: "Suggested by a language model", more: h(Tag, { name: "not checked", colour: "orange" }) },
    h(Ui.Text, { fontSize: "sm", mb: 2 }, "Nobody has checked this, nothing acts on it, and nothing is learned from it."),
    h(Facts, {
      facts: [
        ["Cause", title(suggestion.category)],
        ["Why", h(Ui.Box, { whiteSpace: "pre-wrap", overflowWrap: "anywhere" }, suggestion.explanation)],
        ["Model", suggestion.model],
        ["Asked", h(Moment, { at: suggestion.asked_at })],
      ],
    }),
    suggestion.steps.length > 0 && h(Small, null, "Steps it suggests"),
    h(
      Ui.Box,
      { as: "ol", ps: 5, fontSize: "sm", listStyleType: "decimal" },
      suggestion.steps.map((step, number) => h(Ui.Box, { as: "li", key: number, overflowWrap: "anywhere" }, step)),
    ),
  );
}
