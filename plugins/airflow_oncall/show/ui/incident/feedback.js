/** What a person says of an incident; training learns from it. */

import { h, React, Ui } from "../host.js";
import { NOTHING, plain, title } from "../lib/format.js";
import { CATEGORIES, NO_INCIDENT } from "../lib/words.js";
import { Area, Choice, Fields } from "../parts/form.js";
import { Panel, Rows } from "../parts/layout.js";
import { Table } from "../parts/table.js";
import { Trouble } from "../parts/trouble.js";
import { Moment } from "../parts/words.js";

const EMPTY = { category: "", right: "", action: "", comment: "" };
const YES_OR_NO = { "": "Say nothing", yes: "Yes", no: "No" };

/**
 * From the first touch on the form is about the incident as it was then, whatever refreshes bring meanwhile.
 * @param {{incident: object, deed: {run: Function, isBusy: boolean, failure?: object}}} given
 */
export function Feedback({ incident, deed }) {
  const [said, setSaid] = React.useState(EMPTY);
  const [seen, setSeen] = React.useState(null);
  const [thanks, setThanks] = React.useState(false);
  const { category, updated_at: updatedAt } = seen ?? incident;
  const begin = (kept) => {
    setSaid({ ...EMPTY, ...kept });
    setSeen(null);
  };
  const set = (name) => (value) => {
    setSeen((last) => last ?? incident);
    setSaid((last) => ({ ...last, [name]: value }));
  };
  React.useEffect(() => {
    if (deed.failure?.status === 409) begin({ comment: said.comment }); // it changed: the answers are to be given again
  }, [deed.failure]);
  const submit = async (event) => {
    event.preventDefault();
    setThanks(false);
    if (!(await deed.run("feedback", feedbackOf(said, updatedAt)))) return;
    begin();
    setThanks(true);
  };
  const isReady = said.right === "no" ? said.category !== "" : Boolean(said.right || said.category || said.action || said.comment.trim());
  return h(
    Panel,
    { title: "Feedback" },
    h(
      "form",
      { onSubmit: submit, "aria-label": "Feedback" },
      h(
        Rows,
        { gap: 3 },
        h(
          Fields,
          { min: "20rem" },
          category &&
            h(Choice, {
              label: `Is the category right? (${title(category)})`,
              value: said.right,
              choices: YES_OR_NO,
              onChange: set("right"),
            }),
          (said.right === "no" || !category) &&
            h(Choice, { label: "The true category", value: said.category, choices: truths(category), onChange: set("category") }),
          h(Choice, { label: "Was the action right?", value: said.action, choices: YES_OR_NO, onChange: set("action") }),
        ),
        h(Area, {
          label: "Comment",
          value: said.comment,
          onChange: set("comment"),
          maxLength: 2000,
          help: "Leave secrets out; what looks like one is masked.",
        }),
        h(Trouble, { failure: deed.failure }),
        h(
          Ui.Flex,
          { gap: 3, align: "center" },
          h(Ui.Button, { type: "submit", size: "sm", disabled: !isReady, loading: deed.isBusy, colorPalette: "blue" }, "Send feedback"),
          h(Ui.Box, { role: "status", fontSize: "sm" }, thanks && "Thank you; training learns from it."),
        ),
      ),
    ),
    h(Labels, { labels: incident.labels }),
  );
}

function truths(wrong) {
  const others = CATEGORIES.filter((one) => one !== wrong).map((one) => [one, title(one)]);
  return Object.fromEntries([["", "Choose"], [NO_INCIDENT, "It was no failure (false positive)"], ...others]);
}

function feedbackOf(said, updatedAt) {
  const isFalsePositive = said.category === NO_INCIDENT;
  return {
    ...(said.right ? { category_correct: said.right === "yes" } : {}),
    ...(said.right !== "yes" && said.category && !isFalsePositive ? { category: said.category } : {}),
    ...(said.right !== "yes" && isFalsePositive ? { false_positive: true } : {}),
    ...(said.action ? { action_correct: said.action === "yes" } : {}),
    ...(said.comment.trim() ? { comment: said.comment.trim() } : {}),
    expected_updated_at: updatedAt,
  };
}

function Labels({ labels }) {
  if (!labels.length) return null;
  const said = ([, value]) => value !== null && value !== "" && value !== false;
  const told = ({ value, detail }) =>
    [title(value), plain(Object.fromEntries(Object.entries(detail).filter(said)))].filter((one) => one !== NOTHING).join(": ");
  const rows = labels.map((one, key) => ({ key, cells: [title(one.name), told(one), one.given_by, h(Moment, { at: one.given_at })] }));
  return h(Ui.Box, { mt: 4 }, h(Table, { label: "What is known to be true", columns: ["Known by", "What", "From", "When"], rows }));
}
