/** The page in Airflow's navigation. */

import { h, React, Router, Ui } from "../host.js";
import { IncidentView } from "../incident/view.js";
import { Banner } from "../incidents/banner.js";
import { Filters, useFilters } from "../incidents/filters.js";
import { IncidentList } from "../incidents/list.js";
import { Overview, useStatistics } from "../incidents/overview.js";
import { Questions } from "../incidents/questions.js";
import { OpenStorms, StormView } from "../incidents/storms.js";
import { KnowledgeView } from "../knowledge/view.js";
import { LearningView } from "../learning/view.js";
import { viewPage } from "../lib/links.js";
import { Loading, Page, Panel, Rows } from "../parts/layout.js";
import { Trouble } from "../parts/trouble.js";
import { To } from "../parts/words.js";
import { useMe } from "./me.js";

const VIEWS = { "": "Incidents", storms: "Storms", learning: "Learning", knowledge: "Knowledge" };
const DEPLOYMENT_WIDE = ["learning", "knowledge"];

let isSettled = false;

export function Oncall() {
  return useSettled() ? h(Settled) : h(Page, { label: "Oncall" }, h(Loading, { what: "the page" }));
}

/**
 * Airflow draws a page that it has just loaded inside a wrapper, and without it from the next change of the address on. React then
 * makes the page anew: a menu closes, what was typed is gone. So the address is set to itself before there is anything to lose.
 */
function useSettled() {
  const [, setParams] = Router.useSearchParams();
  const [mine, setMine] = React.useState(isSettled);
  React.useEffect(() => {
    if (isSettled) return;
    isSettled = true;
    setParams((last) => last, { replace: true });
    setMine(true);
  }, []);
  return mine;
}

function Settled() {
  const [params] = Router.useSearchParams();
  const { data: me, failure, reload } = useMe();
  const view = params.get("view") ?? "";
  const incident = Number(params.get("incident")) || 0;
  return h(
    Page,
    { label: "Oncall" },
    h(
      Ui.Flex,
      { justify: "space-between", align: "center", wrap: "wrap", gap: 3 },
      h(Ui.Heading, { as: "h1", size: "xl" }, "On-call"),
      me && h(Views, { me, view: incident ? null : view }),
    ),
    h(Trouble, { failure, again: reload }),
    !me && !failure && h(Loading, { what: "the page" }),
    me && h(Banner, { me, onChange: reload }),
    me && (incident ? h(IncidentView, { key: incident, id: incident, me }) : h(View, { view, me })),
  );
}

function Views({ me, view }) {
  const names = Object.keys(VIEWS).filter((name) => me.may_inspect || !DEPLOYMENT_WIDE.includes(name));
  return h(
    Ui.Flex,
    { as: "nav", "aria-label": "Views", gap: 1 },
    names.map((name) =>
      h(
        Ui.Button,
        { key: name, asChild: true, size: "sm", variant: view === name ? "subtle" : "ghost", color: "fg" },
        h(Router.Link, { to: viewPage(name), "aria-current": view === name ? "page" : undefined }, VIEWS[name]),
      ),
    ),
  );
}

function View({ view, me }) {
  if (view === "storms") return h(StormView, { me });
  if (view === "learning") return h(LearningView);
  if (view === "knowledge") return h(KnowledgeView, { me });
  return h(IncidentsView, { me });
}

function IncidentsView({ me }) {
  const [turn, setTurn] = React.useState(0);
  const { filters, change } = useFilters();
  const statistics = useStatistics("", turn);
  const sources = Object.keys(statistics.data?.by_source ?? { airflow: 0 });
  return h(
    Rows,
    null,
    h(Questions, { me, onAnswer: () => setTurn((last) => last + 1) }),
    h(OpenStorms),
    h(Overview, { statistics }),
    h(
      Panel,
      {
        title: filters.storm_id ? `Incidents of storm #${filters.storm_id}` : "Incidents",
        more: filters.storm_id && h(To, { to: viewPage("storms", { storm: filters.storm_id }) }, "The storm"),
      },
      h(Filters, { filters, change, sources }),
      h(IncidentList, { filters, change, turn }),
    ),
  );
}
