/** Fields that take several values, any of which fits. */

import { useChosen } from "../hooks.js";
import { h, Ui } from "../host.js";

const LABEL = { fontSize: "xs", color: "fg.muted", fontWeight: "medium" };

/**
 * Some of a list that is known. `any`: what is shown while nothing is chosen; `choices`: value and what is shown.
 * @param {{label: string, any: string, values: string[], choices: Record<string, string>, onChange: (values: string[]) => void}} given
 */
export function Several({ label, any, values: known, choices, onChange }) {
  const { values, put, meanwhile } = useChosen(known, onChange);
  const unknown = values.filter((one) => !(one in choices)).map((one) => [one, one]);
  const collection = collectionOf({ ...choices, ...Object.fromEntries(unknown) });
  const chosen = values.map((one) => choices[one] ?? one).join(", ");
  return h(
    Ui.Select.Root,
    {
      collection,
      multiple: true,
      size: "sm",
      gap: 1,
      value: values,
      onValueChange: ({ value }) => put(value),
      onOpenChange: ({ open }) => meanwhile(open),
    },
    h(Ui.Select.Label, LABEL, label),
    h(
      Ui.Select.Control,
      null,
      h(
        Ui.Select.Trigger,
        { bg: "bg", pe: values.length ? 14 : 8, title: chosen || undefined },
        h(
          Ui.Box,
          { as: "span", truncate: true, minW: 0, textAlign: "start", color: "fg" },
          values.length > 1 ? `${values.length}: ${chosen}` : chosen || any,
        ),
      ),
      h(
        Ui.Select.IndicatorGroup,
        null,
        values.length > 0 && h(Ui.Select.ClearTrigger, { "aria-label": `Clear ${label}` }),
        h(Ui.Select.Indicator),
      ),
    ),
    h(
      Ui.Portal,
      null,
      h(Ui.Select.Positioner, null, h(Ui.Select.Content, { minW: "12rem", borderWidth: "1px" }, h(Items, { kind: Ui.Select, items: collection.items }))),
    ),
  );
}

/**
 * Some of very many, of which those that fit what is typed are offered.
 * @param {{label: string, any: string, values: string[], offered: string[], typed: string, onType: (text: string) => void,
 *   onChange: (values: string[]) => void, onOpen: (isOpen: boolean) => void}} given
 */
export function SeveralOfMany({ label, any, values: known, offered, typed, onType, onChange, onOpen }) {
  const { values, put, meanwhile } = useChosen(known, onChange);
  const asTyped = typed && ![...values, ...offered].includes(typed) ? { [typed]: `Exactly “${typed}”` } : {};
  const names = Object.fromEntries([...offered, ...values].map((one) => [one, one]));
  const collection = collectionOf({ ...names, ...asTyped });
  return h(
    Ui.Box,
    { minW: 0 },
    h(
      Ui.Combobox.Root,
      {
        collection,
        multiple: true,
        size: "sm",
        gap: 1,
        value: values,
        inputValue: typed,
        openOnClick: true,
        onInputValueChange: ({ inputValue }) => onType(inputValue.trim()),
        onValueChange: ({ value }) => put(value),
        onOpenChange: ({ open }) => {
          meanwhile(open);
          onOpen(open);
        },
      },
      h(Ui.Combobox.Label, LABEL, label),
      h(Ui.Combobox.Control, null, h(Ui.Combobox.Input, { placeholder: any, bg: "bg" }), h(Ui.Combobox.IndicatorGroup, null, h(Ui.Combobox.Trigger))),
      h(
        Ui.Portal,
        null,
        h(
          Ui.Combobox.Positioner,
          null,
          h(Ui.Combobox.Content, { minW: "12rem", borderWidth: "1px" }, h(Ui.Combobox.Empty, null, "None."), h(Items, { kind: Ui.Combobox, items: collection.items })),
        ),
      ),
    ),
    values.length > 0 && h(Chosen, { label, values: known, onChange }),
  );
}

function Items({ kind, items }) {
  return items.map((item) => h(kind.Item, { item, key: item.value, overflowWrap: "anywhere" }, item.label, h(kind.ItemIndicator)));
}

/** What is chosen, each to be taken back. */
function Chosen({ label, values, onChange }) {
  return h(
    Ui.Flex,
    { as: "ul", "aria-label": `Chosen ${label}`, wrap: "wrap", gap: 1, mt: 1, listStyleType: "none" },
    values.map((one) =>
      h(
        Ui.Box,
        { as: "li", key: one, maxW: "100%" },
        h(
          Ui.Button,
          {
            size: "2xs",
            variant: "outline",
            maxW: "100%",
            title: one,
            "aria-label": `Without ${one}`,
            onClick: () => onChange(values.filter((other) => other !== one)),
          },
          h(Ui.Box, { as: "span", truncate: true }, one),
          h("span", { "aria-hidden": true }, "×"),
        ),
      ),
    ),
  );
}

function collectionOf(choices) {
  return Ui.createListCollection({ items: Object.entries(choices).map(([value, label]) => ({ value, label })) });
}
