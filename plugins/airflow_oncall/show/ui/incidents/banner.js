/** In which mode the system is, whether it is stopped, and the switch. */

import { h, Ui } from "../host.js";
import { oncall } from "../lib/api.js";
import { MODES } from "../lib/words.js";
import { Confirm } from "../parts/dialog.js";
import { When } from "../parts/words.js";

/** @param {{me: object, onChange: () => void}} given */
export function Banner({ me, onChange }) {
  const { paused } = me;
  const [colour, meaning] = MODES[me.mode] ?? ["gray", ""];
  return h(
    Ui.Flex,
    {
      as: "section",
      "aria-label": "Mode and kill switch",
      align: "center",
      gap: 3,
      wrap: "wrap",
      rounded: "md",
      px: 4,
      py: 3,
      borderWidth: "1px",
      borderStartWidth: "6px",
      colorPalette: paused ? "red" : colour,
      bg: paused ? "colorPalette.subtle" : "bg.panel",
      borderColor: "border",
      borderStartColor: "colorPalette.solid",
      color: "fg",
    },
    h(
      Ui.Box,
      { flex: 1, minW: "16rem" },
      h(
        Ui.Text,
        { fontWeight: "semibold", role: "status" },
        paused ? "Stopped: nothing is repaired and nobody is asked" : `Mode: ${me.mode}`,
      ),
      h(Ui.Text, { fontSize: "sm" }, paused ? h(Why, { paused }) : meaning),
    ),
    me.may_steer && h(Switch, { paused, onChange }),
  );
}

function Why({ paused }) {
  return h(
    "span",
    null,
    `By ${paused.by}`,
    paused.since && h("span", null, ", ", h(When, { at: paused.since })),
    paused.reason && `: ${paused.reason}`,
  );
}

function Switch({ paused, onChange }) {
  const put = async (body) => {
    await oncall("switch", { method: "PUT", body });
    onChange();
  };
  if (paused) {
    const release = () => put({ paused: false });
    return h(
      Confirm,
      {
        key: "resume", // else a dialog that is open would ask the other thing when somebody else is faster
        label: "Resume repairs",
        heading: "Resume repairs?",
        confirm: "Resume",
        colour: "green",
        variant: "solid",
        onConfirm: release,
      },
      "Incidents that are open are looked at again within a minute, and repaired or asked about as the policy says.",
    );
  }
  const stop = (reason) => put({ paused: true, reason });
  return h(
    Confirm,
    {
      key: "stop",
      label: "Stop all repairs",
      heading: "Stop all repairs?",
      confirm: "Stop",
      colour: "red",
      reason: "required",
      onConfirm: stop,
    },
    "From now on nothing is repaired and nobody is asked, until somebody resumes. Incidents are still noticed and diagnosed.",
  );
}
