/** A button that asks before it does something. */

import { h, React, Ui } from "../host.js";
import { useDeed } from "../hooks.js";
import { Area } from "./form.js";
import { Trouble } from "./trouble.js";

/**
 * What cannot be done is said in the dialog, which stays with what was typed.
 * @param {{label: string, heading: string, children?: any, confirm: string, colour?: string, reason?: "required"|"asked",
 *   onConfirm: (reason: string) => Promise<any>, onToggle?: (isOpen: boolean) => void, variant?: string}} given
 *   `onConfirm`: where it says `false`, the dialog closes and the reason stays as it was typed for the next time
 */
export function Confirm({ label, heading, children, confirm, colour = "blue", reason, onConfirm, onToggle, variant = "outline" }) {
  const [isOpen, setOpen] = React.useState(false);
  const [text, setText] = React.useState("");
  const toggle = (open) => {
    setOpen(open);
    onToggle?.(open);
  };
  const deed = useDeed(async () => {
    if ((await onConfirm(text.trim())) !== false) setText("");
    toggle(false);
  });
  const toggled = ({ open }) => {
    toggle(open);
    deed.forget();
  };
  const first = React.useRef(null);
  const isReady = reason !== "required" || text.trim() !== "";
  return h(
    Ui.Dialog.Root,
    {
      open: isOpen,
      onOpenChange: toggled,
      role: "alertdialog",
      placement: "center",
      initialFocusEl: () => first.current,
      lazyMount: true,
      unmountOnExit: true,
    },
    h(Ui.Dialog.Trigger, { asChild: true }, h(Ui.Button, { size: "sm", variant, colorPalette: colour }, label)),
    h(
      Ui.Portal,
      null,
      h(Ui.Dialog.Backdrop),
      h(
        Ui.Dialog.Positioner,
        null,
        h(
          Ui.Dialog.Content,
          { bg: "bg.panel", color: "fg" },
          h(Ui.Dialog.Header, null, h(Ui.Dialog.Title, null, heading)),
          h(
            Ui.Dialog.Body,
            { display: "grid", gap: 3 },
            h(Ui.Dialog.Description, { as: "div", color: "fg" }, children),
            reason &&
              h(Area, { label: "Reason", value: text, onChange: setText, isRequired: reason === "required", maxLength: 300, ref: first }),
            h(Trouble, { failure: deed.failure }),
          ),
          h(
            Ui.Dialog.Footer,
            null,
            h(
              Ui.Dialog.ActionTrigger,
              { asChild: true },
              h(Ui.Button, { size: "sm", variant: "outline", ref: reason ? undefined : first }, "Cancel"),
            ),
            h(
              Ui.Button,
              { size: "sm", colorPalette: colour, loading: deed.isBusy, disabled: !isReady, onClick: () => deed.run() },
              confirm,
            ),
          ),
        ),
      ),
    ),
  );
}
