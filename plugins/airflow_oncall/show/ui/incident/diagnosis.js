/** What is wrong, how sure that is, and what carried the judgement. */

import { h, Ui } from "../host.js";
import { percent, plain, title } from "../lib/format.js";
import { Facts, Nothing, Panel } from "../parts/layout.js";
import { Block } from "../parts/text.js";
import { Small, Tag } from "../parts/words.js";

const LIKELY = 5;

/** @param {{diagnosis: object|null}} given */
export function Diagnosis({ diagnosis }) {
  if (!diagnosis) return h(Panel, { title: "Diagnosis" }, h(Nothing, null, "Not diagnosed yet; triage looks at it within a minute."));
  const alternatives = Object.entries(diagnosis.alternatives).slice(0, LIKELY);
  const shares = alternatives.length ? alternatives : [[diagnosis.category, diagnosis.probability]];
  return h(
    Panel,
    { title: "Diagnosis", more: diagnosis.anomaly && h(Tag, { name: "unlike anything known", colour: "orange" }) },
    h(Facts, {
      facts: [
        ["Category", h("strong", null, `${title(diagnosis.category)}, ${percent(diagnosis.probability)}`)],
        ["A re-run helps", `${helps(diagnosis.transient)}, ${percent(diagnosis.transient_probability)}`],
        ["Said by", `${diagnosis.decided_by}${diagnosis.model_version ? `, model ${diagnosis.model_version}` : ""}`],
        ["Where", Object.keys(diagnosis.identifiers).length > 0 && plain(diagnosis.identifiers)],
      ],
    }),
    h(Small, null, "Probabilities"),
    h(
      Ui.Box,
      { as: "ul", listStyleType: "none" },
      shares.map(([name, share]) => h(Share, { key: name, name, share })),
    ),
    h(Small, null, "What carried it"),
    diagnosis.evidence.length
      ? h(Block, { text: diagnosis.evidence.join("\n"), label: "What carried the diagnosis" })
      : h(Nothing, null, "Nothing in the text."),
  );
}

function helps(transient) {
  if (transient === null) return "Unclear";
  return transient ? "Yes" : "No";
}

function Share({ name, share }) {
  return h(
    Ui.Box,
    { as: "li", display: "grid", gridTemplateColumns: "12rem 1fr 3rem", gap: 2, alignItems: "center", fontSize: "sm" },
    h("span", null, title(name)),
    h(
      Ui.Box,
      { "aria-hidden": true, bg: "bg.muted", rounded: "sm", h: 2 },
      h(Ui.Box, { bg: "blue.solid", rounded: "sm", h: 2, w: `${share * 100}%` }),
    ),
    h(Ui.Box, { as: "span", textAlign: "end" }, percent(share)),
  );
}
