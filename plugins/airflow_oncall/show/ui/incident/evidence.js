/** What the failed tries and the engines behind them said. */

import { h, React, Ui } from "../host.js";
import { counted, percent, plain, span, title } from "../lib/format.js";
import { taskPage } from "../lib/links.js";
import { Choice } from "../parts/form.js";
import { Facts, Nothing, Panel } from "../parts/layout.js";
import { Block, Lines } from "../parts/text.js";
import { Moment, Small, Tag, To } from "../parts/words.js";

/** @param {{incident: object}} given */
export function Evidence({ incident }) {
  const { occurrences, logged } = incident;
  const [chosen, setChosen] = React.useState("");
  const place = chosen === "" ? occurrences.length - 1 : Number(chosen);
  const names = Object.fromEntries(
    occurrences.map((one, number) => [number, one.try_number ? `Try ${one.try_number}` : `Number ${number + 1}`]),
  );
  return h(
    Panel,
    { title: "Evidence" },
    occurrences.length > 1 &&
      h(Ui.Box, { maxW: "12rem", mb: 3 }, h(Choice, { label: "Failed try", value: String(place), choices: names, onChange: setChosen })),
    occurrences[place] && h(Occurrence, { key: place, one: occurrences[place], incident }),
    logged.length > 0 && h(Small, null, "What was logged about it"),
    logged.map((event, number) => h(Logged, { key: number, event })),
    !occurrences.length && !logged.length && h(Nothing, null, "Nothing was said."),
  );
}

function Occurrence({ one, incident }) {
  const { evidence } = one;
  const decisive = evidence.lines.filter((line) => line.decisive).length;
  return h(
    "div",
    null,
    h(Facts, {
      facts: [
        ["Failed", h(Moment, { at: one.happened_at })],
        ["Exception", evidence.exception_chain.join(" › ")],
        ["Operator", evidence.operator],
        ["Host", evidence.hostname],
        ["Ran for", evidence.duration !== null && span(evidence.duration)],
        ["Seen by", one.seen_by],
        ["By hand", one.by_hand && "a person marked it failed"],
        ["Retry", one.will_retry && "Airflow itself runs it again"],
        [
          "Log",
          incident.kind === "task" && one.try_number > 0 && h(To, { to: taskPage(incident, one.try_number) }, `of try ${one.try_number}`),
        ],
      ],
    }),
    h(Small, null, decisive ? `Text, with ${counted(decisive, "decisive line")} marked` : "Text"),
    evidence.lines.length
      ? h(Lines, { lines: evidence.lines, label: "Text of the failure" })
      : evidence.message
        ? h(Block, { text: evidence.message, label: "Message of the failure" })
        : h(Nothing, null, "Whatever ended it left no text."),
  );
}

function Logged({ event }) {
  const certain = event.correlation === "inferred" ? `inferred, ${percent(event.probability)} sure` : event.correlation;
  return h(
    Ui.Box,
    { mb: 3 },
    h(
      Ui.Flex,
      { gap: 2, mb: 1, align: "center", fontSize: "sm", wrap: "wrap" },
      h(Tag, { name: event.source, text: event.source }),
      event.severity && h(Tag, { name: event.severity, colour: "orange" }),
      h(Moment, { at: event.happened_at }),
      event.count > 1 && counted(event.count, "record"),
    ),
    h(Block, { text: event.text, label: `Logged by ${event.source}` }),
    h(Facts, {
      facts: [
        ["Tied to it", title(certain)],
        ["Signature", event.signature],
        ["The engine says", Object.keys(event.identifiers).length > 0 && plain(event.identifiers)],
        ["The text claims", Object.keys(event.claimed).length > 0 && plain(event.claimed)],
      ],
    }),
  );
}
