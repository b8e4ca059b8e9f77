/** What a reader sees of the stage and does there. */

import { drawing, until } from "./stage.mjs";

/** All drawn elements of a kind. */
export function all(type, nodes = drawing()) {
  return nodes.flatMap((one) => (typeof one === "string" ? [] : [...(one.type === type ? [one] : []), ...all(type, one.children ?? [])]));
}

/** What is to be read. */
export function text(nodes = drawing()) {
  return nodes.map((one) => (typeof one === "string" ? one : text(one.children ?? []))).join(" ");
}

/** Press a button; `inside`: what it is in. */
export async function press(name, inside = drawing()) {
  const found = all("Button", inside).find((one) => text([one]).trim() === name);
  if (!found) throw new Error(`no button ${name} in: ${text()}`);
  await until(() => found.props.onClick());
}

/** Send the form with this name. */
export async function submit(label) {
  const form = all("form").find((one) => one.props["aria-label"] === label);
  await until(() => form.props.onSubmit({ preventDefault: () => {} }));
}

/** The field whose label begins like this. */
export function field(label) {
  const box = all("Field.Root").find((one) => text(all("Field.Label", [one])).startsWith(label));
  if (!box) throw new Error(`no field ${label} in: ${text()}`);
  return ["Input", "Textarea", "NativeSelect.Field"].flatMap((type) => all(type, [box]))[0];
}

/** Fill a field. */
export async function write(label, value) {
  await until(() => field(label).props.onChange({ target: { value } }));
}

/** Open or close the dialog of the button with this name. */
export async function toggle(name, open = true) {
  const found = all("Dialog.Root").find((one) => text(all("Dialog.Trigger", [one])).trim() === name);
  await until(() => found.props.onOpenChange({ open }));
}
