/** What people know of an incident's kind, and the form to write it down. */

import { h, React, Ui } from "../host.js";
import { drawnFrom } from "../lib/entry.js";
import { Nothing, Panel, Rows } from "../parts/layout.js";
import { Editor } from "./editor.js";
import { Entry } from "./entry.js";

/** @param {{incident: object, me: object, onChange: () => void}} given */
export function KnowledgeOf({ incident, me, onChange }) {
  const [isWritten, setWritten] = React.useState(false);
  const done = () => {
    setWritten(false);
    onChange();
  };
  const write =
    me.may_steer &&
    !isWritten &&
    h(Ui.Button, { size: "sm", variant: "outline", onClick: () => setWritten(true) }, "Write down what is known");
  return h(
    Rows,
    null,
    h(
      Panel,
      { title: "Knowledge", more: write },
      !isWritten && !incident.knowledge.length && h(Nothing, null, "Nobody wrote anything down about this failure."),
      !isWritten && incident.knowledge.length > 0 && h(Nothing, null, "Entries about exactly this failure are below."),
      isWritten && h(Editor, { draft: drawnFrom(incident), onDone: done, onCancel: () => setWritten(false) }),
    ),
    incident.knowledge.map((name) => h(Entry, { key: name, name, me, onChange })),
  );
}
