/** What is shown when something did not work. */

import { h, Ui } from "../host.js";
import { loginPage } from "../lib/api.js";
import { words } from "../lib/format.js";

const LOGIN = { target: "_blank", rel: "noopener", color: "fg", textDecoration: "underline" };

/**
 * @param {{failure: import("../lib/api.js").Failure|undefined, again?: () => void}} given
 */
export function Trouble({ failure, again }) {
  if (!failure) return null;
  return h(
    Ui.Alert.Root,
    { status: failure.status === 409 ? "warning" : "error", role: "alert", alignItems: "start" },
    h(Ui.Alert.Indicator),
    h(
      Ui.Alert.Content,
      { color: "fg" },
      h(Ui.Alert.Title, null, heading(failure)),
      h(Ui.Alert.Description, null, explanation(failure)),
      failure.status === 401 && h(Ui.Link, { ...LOGIN, href: loginPage() }, "Log in again"),
    ),
    again && h(Ui.Button, { size: "xs", variant: "outline", onClick: again }, "Try again"),
  );
}

function heading(failure) {
  if (failure.status === 401) return "Your session has expired";
  if (failure.status === 403) return "You may not do this";
  if (failure.status === 404) return "This is not here";
  if (failure.status === 409) return "This changed in the meantime";
  return "This did not work";
}

function explanation(failure) {
  if (failure.status === 401) return "Log in again in a new tab, then go on here: this page and what you typed stay as they are.";
  const { state, detail } = failure.detail ?? {};
  if (failure.status !== 409 || !state) return failure.message;
  return `It is ${words(state)} now${detail ? `: ${detail.replace(/\.$/, "")}` : ""}. The page shows it as it is now; look again and decide again.`;
}
