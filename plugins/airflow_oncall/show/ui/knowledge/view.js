/** What people know about failures: the entries, and a form for a new one. */

import { h, React, Router, Ui } from "../host.js";
import { useLive } from "../hooks.js";
import { oncall } from "../lib/api.js";
import { EMPTY } from "../lib/entry.js";
import { title, words } from "../lib/format.js";
import { viewPage } from "../lib/links.js";
import { Line } from "../parts/form.js";
import { Loading, Nothing, Panel, Rows } from "../parts/layout.js";
import { Pages } from "../parts/pages.js";
import { Table } from "../parts/table.js";
import { Trouble } from "../parts/trouble.js";
import { Tag, To, When } from "../parts/words.js";
import { Editor } from "./editor.js";
import { Entry } from "./entry.js";

const COLUMNS = ["Name", "Category", "Actions", "State", { name: "Version", isNumber: true }, "Changed"];

/** @param {{me: object}} given */
export function KnowledgeView({ me }) {
  const [params] = Router.useSearchParams();
  const [turn, setTurn] = React.useState(0);
  const name = params.get("entry");
  const again = () => setTurn((last) => last + 1);
  return h(Rows, null, name && h(Entry, { key: name, name, me, onChange: again }), h(Entries, { turn, me, onChange: again }));
}

function Entries({ turn, me, onChange }) {
  const [text, setText] = React.useState("");
  const [cursor, setCursor] = React.useState("");
  const [isWritten, setWritten] = React.useState(false);
  const query = { ...(text ? { q: text } : {}), ...(cursor ? { cursor } : {}) };
  const { data, failure, isLoading, reload } = useLive((signal) => oncall("knowledge", { query, signal }), JSON.stringify([query, turn]));
  const written = () => {
    setWritten(false);
    onChange();
  };
  const search = (value) => {
    setCursor("");
    setText(value);
  };
  const write =
    me.may_steer && !isWritten && h(Ui.Button, { size: "sm", variant: "outline", onClick: () => setWritten(true) }, "New entry");
  return h(
    Panel,
    { title: "Knowledge", more: write },
    isWritten && h(Editor, { draft: EMPTY, onDone: written, onCancel: () => setWritten(false) }),
    h(Ui.Box, { maxW: "20rem", mb: 3 }, h(Line, { label: "Search", type: "search", value: text, onChange: search })),
    h(Trouble, { failure, again: reload }),
    !data && !failure && h(Loading, { what: "entries" }),
    data?.items.length === 0 && h(Nothing, null, text ? "No entry fits." : "Nobody wrote anything down yet."),
    data?.items.length > 0 &&
      h(Table, {
        label: "Entries",
        columns: COLUMNS,
        rows: data.items.map((one) => ({ key: one.name, cells: cells(one) })),
        isBusy: isLoading,
      }),
    h(Pages, { label: "Pages of entries", cursor, next: data?.next_cursor, onPage: setCursor, first: "From the start", more: "More" }),
  );
}

function cells(one) {
  const state = one.is_proposed ? h(Tag, { name: "proposed", colour: "orange" }) : h(Tag, { name: "confirmed", colour: "green" });
  const actions = (one.entry.actions ?? []).map(words).join(", ");
  return [
    h(To, { to: viewPage("knowledge", { entry: one.name }) }, one.name),
    title(one.entry.category),
    actions,
    state,
    one.version,
    h(When, { at: one.updated_at }),
  ];
}
