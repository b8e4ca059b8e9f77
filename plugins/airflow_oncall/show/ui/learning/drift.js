/** Whether the world moved away from what the champion learned. */

import { h, Ui } from "../host.js";
import { figure, percent } from "../lib/format.js";
import { Facts, Nothing } from "../parts/layout.js";
import { Loaded } from "../parts/loaded.js";
import { Moment, Tag } from "../parts/words.js";

export function Drift() {
  return h(Loaded, {
    title: "Drift",
    path: "drift",
    children: (data) =>
      data.since ? h(Figures, { drift: data }) : h(Nothing, null, "Nothing was trained yet, so there is nothing to drift from."),
  });
}

/** A figure with a remark; in words where there is none. */
function told(value, shown, remark = "") {
  return `${value === null ? "too few incidents to tell" : shown(value)}${remark ? ` (${remark})` : ""}`;
}

function Figures({ drift }) {
  return h(
    "div",
    null,
    h(
      Ui.Box,
      { mb: 2 },
      h(Tag, { name: drift.reasons.length ? "the world moved" : "no drift seen", colour: drift.reasons.length ? "orange" : "green" }),
    ),
    h(
      Ui.Box,
      { as: "ul", ps: 5, mb: 2, fontSize: "sm", listStyleType: "disc" },
      drift.reasons.map((reason, key) => h("li", { key }, reason)),
    ),
    h(Facts, {
      facts: [
        ["Since", h(Moment, { at: drift.since })],
        ["Mix of categories", told(drift.mix, (mix) => `stability index ${figure(mix)}`, `another mix above ${figure(drift.most_mix)}`)],
        [
          "Never seen before",
          told(drift.unseen, (share) => `${percent(share)} of the incidents`, `too many above ${percent(drift.most_unseen)}`),
        ],
        ["Repairs that helped", told(drift.success_since, percent, `before that ${told(drift.success_before, percent)}`)],
      ],
    }),
  );
}
