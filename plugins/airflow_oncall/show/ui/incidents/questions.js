/** Questions that wait for a person. */

import { h, React, Ui } from "../host.js";
import { LIVE, useDeed, useLive } from "../hooks.js";
import { counted } from "../lib/format.js";
import { incidentAsked, incidentPage, taskPage } from "../lib/links.js";
import { answer, isFor, PAGE, question, waiting } from "../lib/questions.js";
import { Confirm } from "../parts/dialog.js";
import { Loading, Nothing, Panel, Rows } from "../parts/layout.js";
import { Pages } from "../parts/pages.js";
import { Block } from "../parts/text.js";
import { Trouble } from "../parts/trouble.js";
import { To, When } from "../parts/words.js";

const HIDDEN = [403, 404];
const COLOURS = { Approve: "green", Reject: "red" };

/** All of them; nothing where the user may not see our DAGs. @param {{me: object, onAnswer: () => void}} given */
export function Questions({ me, onAnswer }) {
  const [cursor, setCursor] = React.useState("");
  const { data, failure, reload } = useLive((signal) => waiting(signal, PAGE, Number(cursor)), `questions ${cursor}`, LIVE);
  const deed = useAnswer(reload, onAnswer);
  if (failure && HIDDEN.includes(failure.status)) return null;
  return h(
    Panel,
    { title: "Questions waiting", more: data && h(Nothing, null, counted(data.total, "question")) },
    h(Trouble, { failure: deed.failure ?? failure, again: deed.failure ? undefined : reload }),
    !data && !failure && h(Loading, { what: "questions" }),
    data?.total === 0 && h(Nothing, null, "Nobody has to decide anything."),
    h(
      Rows,
      { gap: 3 },
      data?.items.map((one) => h(Question, { key: one.task_instance.id, detail: one, me, deed })),
    ),
    h(Pages, { label: "Pages of questions", cursor, next: behind(data, cursor), onPage: setCursor, first: "From the start", more: "More" }),
  );
}

/** Where the next page begins, if there is one. */
function behind(data, cursor) {
  const end = Number(cursor) + PAGE;
  return data && end < data.total ? String(end) : null;
}

/** The one about an incident. @param {{asked: object, me: object, onAnswer: () => void}} given */
export function QuestionOf({ asked, me, onAnswer }) {
  const { data, failure, reload } = useLive((signal) => question(asked, signal), asked.run_id, LIVE);
  const deed = useAnswer(reload, onAnswer);
  const isMissing = failure?.status === 404;
  return h(
    Panel,
    { title: "Question" },
    isMissing && h(Nothing, null, "The question is being put; it can be answered here in a moment."),
    h(Trouble, { failure: deed.failure }),
    !deed.failure && !isMissing && h(Trouble, { failure, again: reload }),
    data && !data.response_received && h(Question, { detail: data, me, deed }),
    data?.response_received &&
      h(
        Nothing,
        null,
        `${data.responded_by_user?.name ?? "Somebody"} answered ${data.chosen_options.join(", ")}; it is being carried out.`,
      ),
  );
}

/** Answers a question; the page is loaded anew also when it was too late. */
function useAnswer(reload, onAnswer) {
  return useDeed(async (asked, option) => {
    try {
      await answer(asked, option);
    } finally {
      reload();
      onAnswer();
    }
  });
}

function Question({ detail, me, deed }) {
  const asked = placeOf(detail.task_instance);
  const incident = incidentAsked(asked.run_id);
  return h(
    Ui.Box,
    { borderStartWidth: "3px", borderColor: "purple.solid", ps: 3 },
    h(
      Ui.Flex,
      { justify: "space-between", gap: 3, wrap: "wrap", align: "start" },
      h(
        Ui.Box,
        { minW: 0, flex: 1 },
        h(Ui.Text, { fontWeight: "semibold", overflowWrap: "anywhere" }, detail.subject),
        h(
          Ui.Flex,
          { gap: 3, fontSize: "sm", color: "fg.muted", wrap: "wrap" },
          h(Ui.Box, null, "asked ", h(When, { at: detail.created_at })),
          incident && h(To, { to: incidentPage(incident) }, `Incident ${incident}`),
          h(To, { to: `${taskPage(asked)}/required_actions` }, "In Airflow"),
        ),
      ),
      h(Answers, { detail, me, onChoose: (option) => deed.attempt(asked, option) }),
    ),
    detail.body &&
      h(
        Ui.Box,
        { as: "details", fontSize: "sm" },
        h("summary", { style: { cursor: "pointer" } }, "What is asked"),
        h(Block, { text: detail.body, label: "What is asked" }),
      ),
  );
}

/** The buttons, for whom they would do something. */
function Answers({ detail, me, onChoose }) {
  if (!me.may_answer) return h(Nothing, null, "You may read this question, but not answer it.");
  if (!isFor(detail, me.user_id)) return h(Nothing, null, `Only ${detail.assigned_users.map((one) => one.name).join(", ")} may answer.`);
  return h(
    Ui.Flex,
    { gap: 2 },
    detail.options.map((option) =>
      h(
        Confirm,
        {
          key: option,
          label: option,
          heading: `${option}?`,
          confirm: option,
          colour: COLOURS[option] ?? "blue",
          variant: option === "Approve" ? "solid" : "outline",
          onConfirm: () => onChoose(option),
        },
        h(Ui.Text, null, detail.subject),
        h(Ui.Text, { color: "fg.muted", fontSize: "sm" }, "Airflow records your answer under your name."),
      ),
    ),
  );
}

function placeOf(instance) {
  return { dag_id: instance.dag_id, run_id: instance.dag_run_id, task_id: instance.task_id, map_index: instance.map_index };
}
