/** The form of an entry of what people know. */

import { h, React, Ui } from "../host.js";
import { useDeed } from "../hooks.js";
import { oncall } from "../lib/api.js";
import { title } from "../lib/format.js";
import { entryOf, formOf } from "../lib/entry.js";
import { CATEGORIES } from "../lib/words.js";
import { Area, Choice, Fields, Line } from "../parts/form.js";
import { Rows } from "../parts/layout.js";
import { Trouble } from "../parts/trouble.js";
import { Small } from "../parts/words.js";
import { Said } from "./said.js";

/**
 * @param {{known?: object, draft?: Record<string, string>, onDone: () => void, onCancel: () => void}} given
 *   `known`: an entry that is there; else a new one is written, beginning with `draft`
 */
export function Editor({ known, draft, onDone, onCancel }) {
  const [form, setForm] = React.useState(known ? formOf(known.entry) : draft);
  const [seen, setSeen] = React.useState(known);
  const set = (name) => (value) => setForm((last) => ({ ...last, [name]: value }));
  const deed = useDeed(async () => {
    try {
      await (known ? changed(seen, form) : oncall("knowledge", { method: "POST", body: { name: form.name.trim(), ...entryOf(form) } }));
    } catch (failure) {
      if (failure.status === 409 && failure.detail.entry) setSeen({ ...failure.detail, isNewer: true });
      throw failure;
    }
    onDone();
  });
  const submit = (event) => {
    event.preventDefault();
    deed.run();
  };
  return h(
    "form",
    { onSubmit: submit, "aria-label": known ? `Entry ${known.name}` : "New entry" },
    h(
      Rows,
      { gap: 3 },
      h(Identity, { form, set, isNew: !known }),
      h(Recognition, { form, set }),
      h(Advice, { form, set }),
      h(Trouble, { failure: deed.failure }),
      seen?.isNewer && h(Newer, { seen }),
      h(
        Ui.Flex,
        { gap: 2 },
        h(
          Ui.Button,
          { type: "submit", size: "sm", colorPalette: "blue", loading: deed.isBusy, disabled: !form.name.trim() || !form.category },
          "Save",
        ),
        h(Ui.Button, { size: "sm", variant: "outline", onClick: onCancel }, "Cancel"),
      ),
    ),
  );
}

/** What somebody else made of the entry while the form was filled in. */
function Newer({ seen }) {
  return h(
    Ui.Box,
    { as: "section", "aria-label": `Version ${seen.version}`, borderStartWidth: "3px", borderColor: "orange.solid", ps: 3 },
    h(Small, null, `Version ${seen.version}, as it is now; Save puts the form in its place`),
    h(Said, { entry: seen.entry }),
  );
}

function changed(seen, form) {
  const body = { ...entryOf(form), expected_version: seen.version };
  return oncall(`knowledge/${encodeURIComponent(seen.name)}`, { method: "PUT", body });
}

function Identity({ form, set, isNew }) {
  const categories = Object.fromEntries([["", "Choose"], ...CATEGORIES.map((one) => [one, title(one)])]);
  return h(
    Fields,
    { min: "14rem" },
    isNew &&
      h(Line, { label: "Name", value: form.name, onChange: set("name"), isRequired: true, help: "Small letters, digits and hyphens." }),
    h(Choice, { label: "Category", value: form.category, choices: categories, onChange: set("category") }),
    h(Line, { label: "Tags", value: form.tags, onChange: set("tags"), help: "With commas between." }),
    h(Line, { label: "Special case of", value: form.parent, onChange: set("parent"), help: "Name of another entry." }),
  );
}

function Recognition({ form, set }) {
  return h(
    React.Fragment,
    null,
    h(
      Fields,
      { min: "20rem" },
      h(Line, { label: "Fingerprint", value: form.fingerprint, onChange: set("fingerprint"), help: "Exactly this failure." }),
      h(Line, { label: "Pattern", value: form.pattern, onChange: set("pattern"), help: "Regular expression (RE2) that its text matches." }),
    ),
    h(Area, {
      label: "Example",
      value: form.example,
      onChange: set("example"),
      help: "Text of such a failure; what is like it is recognised.",
    }),
  );
}

function Advice({ form, set }) {
  return h(
    React.Fragment,
    null,
    h(
      Fields,
      { min: "14rem" },
      h(Line, {
        label: "Actions that help",
        value: form.actions,
        onChange: set("actions"),
        help: "Best first, with commas between; empty: only a person can tell.",
      }),
      h(Line, {
        label: "Confidence",
        value: form.confidence,
        onChange: set("confidence"),
        type: "number",
        min: 0,
        max: 1,
        step: 0.05,
        help: "How likely the first one helps, 0 to 1.",
      }),
      h(Line, { label: "Runbook", value: form.runbook, onChange: set("runbook"), type: "url", help: "Address of a page that tells more." }),
    ),
    h(Area, {
      label: "Notes",
      value: form.notes,
      onChange: set("notes"),
      help: "For people. Leave secrets out; what looks like one is masked.",
    }),
  );
}
