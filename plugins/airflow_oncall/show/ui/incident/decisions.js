/** What was decided and why: reasons, figures, guards, and the places in the policy. */

import { h, Ui } from "../host.js";
import { figure, NOTHING, percent, plain, span, title, words } from "../lib/format.js";
import { Facts, Nothing, Panel } from "../parts/layout.js";
import { Table } from "../parts/table.js";
import { Small, Tag } from "../parts/words.js";

const COLOURS = { auto: "green", ask: "purple", escalate: "red", wait: "blue", observe: "gray" };
const FIGURES = {
  auto: "acts by itself from",
  ask: "asks from",
  break_even: "pays from",
  gain: "expected gain",
  attempts: "attempts it may cost",
  minutes: "minutes of an attempt",
};

/** The newest one in full, the others folded. @param {{decisions: object[]}} given oldest first */
export function Decisions({ decisions }) {
  const [newest, ...earlier] = [...decisions].reverse();
  return h(
    Panel,
    { title: "Decision" },
    newest ? h(Decision, { decision: newest }) : h(Nothing, null, "Nothing was decided yet."),
    earlier.map((decision) =>
      h(
        Ui.Box,
        { as: "details", key: decision.number, mt: 3, fontSize: "sm" },
        h("summary", { style: { cursor: "pointer" } }, `Decision ${decision.number}: ${words(decision.verdict)} ${words(decision.action)}`),
        h(Decision, { decision }),
      ),
    ),
  );
}

function Decision({ decision }) {
  const { basis } = decision;
  return h(
    "div",
    null,
    h(Facts, {
      facts: [
        ["Verdict", h(Tag, { name: decision.verdict, colour: COLOURS[decision.verdict] })],
        ["Action", decision.action && title(decision.action)],
        ["With", Object.keys(decision.parameters).length > 0 && plain(decision.parameters)],
        ["It helps", `${percent(decision.probability)} likely`],
        ["Wait", decision.wait_seconds > 0 && span(decision.wait_seconds)],
        ["Answers", `try ${decision.answers_try}`],
        ["Mode", decision.mode],
        ["Would be", basis.would_be && words(basis.would_be)],
        ["Experiment", decision.arm],
      ],
    }),
    h(Small, null, "Reasons"),
    h(
      Ui.Box,
      { as: "ul", ps: 5, fontSize: "sm", listStyleType: "disc" },
      decision.reasons.map((reason, number) => h(Ui.Box, { as: "li", key: number, overflowWrap: "anywhere" }, reason)),
    ),
    h(Guards, { guards: basis.guards ?? [] }),
    h(Figures, { basis }),
  );
}

function Guards({ guards }) {
  const rows = guards.map((one, key) => ({ key, cells: [title(one.guard.replace(".", ": ")), title(one.says), one.reason] }));
  return h(
    "div",
    null,
    h(Small, null, "Guards that held"),
    rows.length
      ? h(Table, { label: "Guards that held", columns: ["Guard", "Says", "Why"], rows })
      : h(Nothing, null, "No guard spoke against it."),
  );
}

/** What is known of several figures, in one line; empty where nothing is. */
function known(figures) {
  const found = Object.entries(figures ?? {}).filter(([, value]) => value !== null);
  return found.length ? plain(Object.fromEntries(found)) : "";
}

function Figures({ basis }) {
  const shares = ["auto", "ask", "break_even"];
  const shown = (name) => (shares.includes(name) ? percent(basis[name]) : figure(basis[name]));
  const rows = Object.entries(FIGURES)
    .filter(([name]) => name in basis)
    .map(([name, text]) => [title(text), shown(name)]);
  const places = Object.entries(basis.lines ?? {})
    .filter(([, where]) => where)
    .map(([name, where]) => [`Policy: ${words(name)}`, String(where)]);
  if (!rows.length && !places.length) return null;
  return h(
    Ui.Box,
    { as: "details", mt: 3, fontSize: "sm" },
    h("summary", { style: { cursor: "pointer" } }, "Figures, and where they stand in the policy"),
    h(Facts, {
      facts: [
        ...rows.filter(([, value]) => value !== NOTHING),
        ["Probability", known(basis.probability)],
        ["Used", known(basis.used)],
        ["Costs", known(basis.costs)],
        ...places,
      ],
    }),
  );
}
