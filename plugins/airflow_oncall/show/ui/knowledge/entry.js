/** One entry: what it says, its history, and what may be done with it. */

import { h, React, Ui } from "../host.js";
import { useDeed, useLive } from "../hooks.js";
import { oncall } from "../lib/api.js";
import { percent, plain, title, words } from "../lib/format.js";
import { Confirm } from "../parts/dialog.js";
import { Facts, Loading, Panel } from "../parts/layout.js";
import { Table } from "../parts/table.js";
import { Block } from "../parts/text.js";
import { Trouble } from "../parts/trouble.js";
import { Moment, Small, Tag } from "../parts/words.js";
import { Editor } from "./editor.js";

/** @param {{name: string, me: object, onChange?: () => void}} given */
export function Entry({ name, me, onChange = () => {} }) {
  const path = `knowledge/${encodeURIComponent(name)}`;
  const { data, failure, reload } = useLive((signal) => oncall(path, { signal }), name);
  const [isEdited, setEdited] = React.useState(false);
  const done = () => {
    setEdited(false);
    reload();
    onChange();
  };
  const deed = useDeed(async (how) => {
    await oncall(how === "DELETE" ? path : `${path}/confirm`, { method: how });
    done();
  });
  if (!data || failure?.status === 404)
    return h(Panel, { title: name }, h(Trouble, { failure, again: reload }), !failure && h(Loading, { what: "the entry" }));
  return h(
    Panel,
    { title: name, more: me.may_steer && !isEdited && h(Deeds, { known: data, deed, onEdit: () => setEdited(true) }) },
    h(Trouble, { failure: deed.failure ?? failure, again: deed.failure ? undefined : reload }),
    isEdited ? h(Editor, { key: data.version, known: data, onDone: done, onCancel: () => done() }) : h(Said, { known: data }),
  );
}

function Deeds({ known, deed, onEdit }) {
  return h(
    Ui.Flex,
    { gap: 2 },
    known.is_proposed &&
      h(Ui.Button, { size: "sm", colorPalette: "green", onClick: () => deed.run("POST"), loading: deed.isBusy }, "Confirm"),
    h(Ui.Button, { size: "sm", variant: "outline", onClick: onEdit }, "Edit"),
    h(
      Confirm,
      {
        label: "Remove",
        heading: `Remove ${known.name}?`,
        confirm: "Remove",
        colour: "red",
        onConfirm: () => deed.attempt("DELETE"),
      },
      "It counts no more. What it was stays in its history.",
    ),
  );
}

function Said({ known }) {
  const { entry } = known;
  const outcomes = Object.entries(known.outcomes)
    .map(([action, tally]) => `${words(action)}: ${plain(tally)}`)
    .join("; ");
  return h(
    "div",
    null,
    h(Facts, {
      facts: [
        ["State", known.is_proposed && h(Tag, { name: "proposed, not confirmed", colour: "orange" })],
        ["Category", title(entry.category)],
        ["Fingerprint", entry.fingerprint],
        ["Pattern", entry.pattern && h(Ui.Code, { bg: "bg.subtle", color: "fg" }, entry.pattern)],
        ["Actions", entry.actions?.length > 0 && entry.actions.map(words).join(", ")],
        ["Confidence", percent(entry.confidence)],
        ["Seen here", outcomes],
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
    h(Small, null, "History"),
    h(Table, {
      label: `History of ${known.name}`,
      columns: ["Version", "What", "Who", "When"],
      rows: known.history.map((one) => ({ key: one.version, cells: [one.version, words(one.what), one.actor, h(Moment, { at: one.at })] })),
    }),
  );
}

/** Whether it may become a link. @param {string|undefined} text */
function isWebAddress(text) {
  return /^https?:\/\//.test(text ?? "");
}
