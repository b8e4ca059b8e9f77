/** One entry: what it says, its history, and what may be done with it. */

import { h, React, Ui } from "../host.js";
import { useDeed, useLive } from "../hooks.js";
import { oncall } from "../lib/api.js";
import { plain, words } from "../lib/format.js";
import { Confirm } from "../parts/dialog.js";
import { Loading, Panel } from "../parts/layout.js";
import { Table } from "../parts/table.js";
import { Trouble } from "../parts/trouble.js";
import { Moment, Small } from "../parts/words.js";
import { Editor } from "./editor.js";
import { Said } from "./said.js";

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
  const deed = useDeed(async (ask) => {
    try {
      await ask(path, { expected_version: data.version });
    } catch (failure) {
      reload();
      throw failure;
    }
    done();
  });
  if (!data || failure?.status === 404)
    return h(Panel, { title: name }, h(Trouble, { failure, again: reload }), !failure && h(Loading, { what: "the entry" }));
  return h(
    Panel,
    { title: name, more: me.may_steer && !isEdited && h(Deeds, { known: data, deed, onEdit: () => setEdited(true) }) },
    h(Trouble, { failure: deed.failure ?? failure, again: deed.failure ? undefined : reload }),
    isEdited ? h(Editor, { known: data, onDone: done, onCancel: done }) : h(Known, { known: data }),
  );
}

const confirmed = (path, body) => oncall(`${path}/confirm`, { method: "POST", body });
const removed = (path, query) => oncall(path, { method: "DELETE", query });

function Deeds({ known, deed, onEdit }) {
  return h(
    Ui.Flex,
    { gap: 2 },
    known.is_proposed &&
      h(Ui.Button, { size: "sm", colorPalette: "green", onClick: () => deed.run(confirmed), loading: deed.isBusy }, "Confirm"),
    h(Ui.Button, { size: "sm", variant: "outline", onClick: onEdit }, "Edit"),
    h(
      Confirm,
      {
        label: "Remove",
        heading: `Remove ${known.name}?`,
        confirm: "Remove",
        colour: "red",
        onConfirm: () => deed.attempt(removed),
      },
      "It counts no more. What it was stays in its history.",
    ),
  );
}

function Known({ known }) {
  const outcomes = Object.entries(known.outcomes).map(([action, tally]) => `${words(action)}: ${plain(tally)}`);
  return h(
    "div",
    null,
    h(Said, { entry: known.entry, isProposed: known.is_proposed, seen: outcomes.join("; ") }),
    h(Small, null, "History"),
    h(Table, {
      label: `History of ${known.name}`,
      columns: ["Version", "What", "Who", "When"],
      rows: known.history.map((one) => ({ key: one.version, cells: [one.version, words(one.what), one.actor, h(Moment, { at: one.at })] })),
    }),
  );
}
