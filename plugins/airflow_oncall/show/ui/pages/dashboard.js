/** One line on Airflow's home page. */

import { h, Ui } from "../host.js";
import { LIVE, useLive } from "../hooks.js";
import { oncall } from "../lib/api.js";
import { counted } from "../lib/format.js";
import { viewPage } from "../lib/links.js";
import { waiting } from "../lib/questions.js";
import { To } from "../parts/words.js";
import { useMe } from "./me.js";

const PACE = 3;

/** Nothing for whom nothing is to be seen: Airflow's home page has its own words for that. */
export function Dashboard() {
  const { data: me } = useMe();
  const { data: open } = useLive((signal) => oncall("incidents", { query: { open: true, limit: 1 }, signal }), "open", LIVE * PACE);
  const { data: questions } = useLive((signal) => waiting(signal, 1), "questions", LIVE * PACE);
  if (!me || !open) return null;
  const incidents = open.total === null ? "many open incidents" : counted(open.total, "open incident");
  return h(
    Ui.Flex,
    {
      as: "section",
      "aria-label": "On-call",
      "data-oncall": "",
      gap: 4,
      py: 1,
      align: "center",
      fontSize: "sm",
      color: "fg",
      whiteSpace: "nowrap",
      overflow: "hidden",
    },
    h(Ui.Text, { fontWeight: "semibold" }, "On-call"),
    h(To, { to: viewPage("") }, incidents),
    questions && h("span", null, `${counted(questions.total, "question")} waiting`),
    h("span", null, me.paused ? "stopped: nothing is repaired" : `mode ${me.mode}`),
  );
}
