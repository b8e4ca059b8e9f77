/** Fields with their labels. */

import { h, Ui } from "../host.js";

function Field({ label, help, isRequired, children }) {
  return h(
    Ui.Field.Root,
    { required: isRequired, gap: 1 },
    h(Ui.Field.Label, { fontSize: "xs", color: "fg.muted" }, label, isRequired && h(Ui.Box, { as: "span", "aria-hidden": true }, "*")),
    children,
    help && h(Ui.Field.HelperText, { color: "fg.muted" }, help),
  );
}

/** @param {{label: string, value: string, onChange: (value: string) => void, help?: string, isRequired?: boolean}} given */
export function Line({ label, value, onChange, help, isRequired, ...more }) {
  const field = h(Ui.Input, { size: "sm", value, onChange: (event) => onChange(event.target.value), ...more });
  return h(Field, { label, help, isRequired }, field);
}

/** A text of several lines. */
export function Area({ label, value, onChange, help, isRequired, ...more }) {
  const field = h(Ui.Textarea, { size: "sm", rows: 3, value, onChange: (event) => onChange(event.target.value), ...more });
  return h(Field, { label, help, isRequired }, field);
}

/** One of several. @param {{choices: Record<string, string>}} given value and what is shown */
export function Choice({ label, value, onChange, choices, help }) {
  const shown = value in choices ? choices : { ...choices, [value]: value };
  const options = Object.entries(shown).map(([name, text]) => h("option", { key: name, value: name }, text));
  return h(
    Field,
    { label, help },
    h(
      Ui.NativeSelect.Root,
      { size: "sm" },
      h(Ui.NativeSelect.Field, { value, onChange: (event) => onChange(event.target.value), bg: "bg" }, options),
      h(Ui.NativeSelect.Indicator),
    ),
  );
}

/** Fields beside each other where there is room. */
export function Fields({ children, min = "10rem" }) {
  return h(
    Ui.Box,
    { display: "grid", gridTemplateColumns: `repeat(auto-fill, minmax(min(${min}, 100%), 1fr))`, gap: 3, alignItems: "start" },
    children,
  );
}
