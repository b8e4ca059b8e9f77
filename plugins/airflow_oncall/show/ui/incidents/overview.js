/** How many, of what, and how it goes. */

import { h, Ui } from "../host.js";
import { LIVE, useLive } from "../hooks.js";
import { oncall } from "../lib/api.js";
import { minutes, percent, title } from "../lib/format.js";
import { viewPage } from "../lib/links.js";
import { Columns, Loading, Nothing, Panel, Tile } from "../parts/layout.js";
import { Trouble } from "../parts/trouble.js";
import { Small, To } from "../parts/words.js";
import { Days } from "../plots/days.js";

const PERIOD = 30;
const LARGEST = 5;
const PACE = 6;

/** @param {{dagId?: string, turn?: number}} given only a DAG's */
export function useStatistics(dagId = "", turn = 0) {
  const query = { days: PERIOD, ...(dagId ? { dag_id: dagId } : {}) };
  return useLive((signal) => oncall("statistics", { query, signal }), JSON.stringify([dagId, turn]), LIVE * PACE);
}

/** @param {{statistics: ReturnType<typeof useStatistics>}} given */
export function Overview({ statistics: { data, failure, reload } }) {
  return h(
    Panel,
    { title: `The last ${PERIOD} days` },
    h(Trouble, { failure, again: reload }),
    !data && !failure && h(Loading, { what: "figures" }),
    data && h(Tiles, { data }),
    data &&
      h(Columns, { min: "26rem" }, h("div", null, h(Small, null, "Incidents a day"), h(Days, { days: data.per_day })), h(Causes, { data })),
  );
}

/** @param {{data: object}} given statistics */
export function Tiles({ data }) {
  const { with_action: repaired, without } = data.mttr_minutes;
  return h(
    Ui.Flex,
    { gap: 3, wrap: "wrap" },
    h(Tile, { name: "Open now", value: data.open }),
    h(Tile, { name: "Opened", value: data.opened }),
    h(Tile, { name: "Repairs that helped", value: percent(data.repair_rate), note: "of those whose end was seen" }),
    h(Tile, { name: "Time to repair", value: minutes(repaired), note: without !== null && `without a repair ${minutes(without)}` }),
    h(Tile, { name: "Attempts saved", value: data.attempts_saved, note: "tries that would only have failed again" }),
  );
}

function Causes({ data }) {
  return h(
    Columns,
    { min: "11rem" },
    h(Counts, { name: "By category", counts: data.by_category, parameter: "category" }),
    h(Counts, { name: "By severity", counts: data.by_severity, parameter: "severity" }),
    h(Counts, { name: "By source", counts: data.by_source, parameter: "source", shown: String }),
  );
}

function Counts({ name, counts, parameter, shown = title }) {
  const largest = Object.entries(counts).slice(0, LARGEST);
  const line = ([value, number]) =>
    h(
      Ui.Flex,
      { as: "li", key: value, justify: "space-between", gap: 3, fontSize: "sm" },
      h(To, { to: viewPage("", { [parameter]: value, open: "any", within: "30d" }) }, shown(value)),
      h("span", null, number),
    );
  return h(
    "div",
    null,
    h(Small, null, name),
    largest.length ? h(Ui.Box, { as: "ul", listStyleType: "none" }, largest.map(line)) : h(Nothing, null, "Nothing yet."),
  );
}
