/** The filters above a list of incidents. They live in the page's address. */

import { h, React, Router, Ui } from "../host.js";
import { title } from "../lib/format.js";
import { ANY_TIME, BETWEEN, changed, fieldOf, filtersOf, isFiltered, momentOf, TIMES } from "../lib/query.js";
import { CATEGORIES, SEVERITIES, STATES } from "../lib/words.js";
import { Choice, Fields, Line } from "../parts/form.js";
import { Several } from "../parts/several.js";
import { Dags } from "./dags.js";

const PAUSE_OF_TYPING = 400;
const WHICH = { true: "Open", false: "Closed", any: "Open and closed" };

/** The filters of this page, and how to change them: of two quick changes the second knows of the first. */
export function useFilters() {
  const [params, setParams] = Router.useSearchParams();
  const newest = React.useRef(params);
  React.useEffect(() => void (newest.current = params), [params]);
  const change = (changes) => {
    newest.current = changed(newest.current, changes);
    setParams(newest.current, { replace: !("cursor" in changes) });
  };
  return { filters: filtersOf(params), change };
}

/** @param {{filters: Record<string, any>, change: (changes: Record<string, any>) => void, sources: string[]}} given */
export function Filters({ filters, change, sources }) {
  const chooser = (name) => (value) => change({ [name]: value });
  const titled = (names) => Object.fromEntries(names.map((one) => [one, title(one)]));
  const timed = (within) => change({ within, ...(within === BETWEEN ? {} : { since: "", until: "" }) });
  const several = (name, choices, onChange = chooser(name)) =>
    h(Several, { label: title(name), any: `Any ${name}`, values: filters[name], choices, onChange });
  return h(
    Ui.Box,
    { as: "search", "aria-label": "Filter incidents", mb: 3 },
    h(
      Fields,
      { min: "10rem" },
      h(Choice, { label: "Show", value: filters.open || "any", choices: WHICH, onChange: chooser("open") }),
      several("state", titled(STATES), (state) => change({ state, open: state.length ? "any" : "true" })),
      several("category", titled(CATEGORIES)),
      several("severity", titled(SEVERITIES)),
      several("source", Object.fromEntries(sources.map((one) => [one, one]))),
      h(Choice, {
        label: "Opened",
        value: filters.within || (filters.since || filters.until ? BETWEEN : ANY_TIME),
        choices: TIMES,
        onChange: timed,
      }),
      h(Dags, { values: filters.dag_id, onChange: chooser("dag_id") }),
      h(Typed, { label: "Search", value: filters.q, onSettle: chooser("q"), placeholder: "Name or reason", type: "search" }),
      filters.within === BETWEEN && h(Edge, { label: "From", value: filters.since, onChange: chooser("since") }),
      filters.within === BETWEEN && h(Edge, { label: "To", value: filters.until, onChange: chooser("until") }),
      isFiltered(filters) &&
        h(Ui.Button, { size: "sm", variant: "outline", alignSelf: "end", onClick: () => change(NO_FILTER) }, "Clear filters"),
    ),
  );
}

const NO_FILTER = {
  state: [],
  category: [],
  severity: [],
  source: [],
  dag_id: [],
  q: "",
  since: "",
  until: "",
  within: "",
  storm_id: "",
  open: "true",
};

/** One end of a span of time. What is no time yet changes nothing. */
function Edge({ label, value, onChange }) {
  const settled = (field) => {
    const moment = momentOf(field);
    if (moment || !field) onChange(moment);
  };
  return h(Typed, { label, type: "datetime-local", value: fieldOf(value), onSettle: settled });
}

/** A field that counts when its reader stops typing. */
function Typed({ value, onSettle, ...more }) {
  const [text, setText] = React.useState(value);
  const settle = React.useRef(onSettle);
  settle.current = onSettle;
  React.useEffect(() => setText(value), [value]);
  React.useEffect(() => {
    if (text === value) return undefined;
    const timer = setTimeout(() => settle.current(text.trim()), PAUSE_OF_TYPING);
    return () => clearTimeout(timer);
  }, [text, value]);
  return h(Line, { ...more, value: text, onChange: setText });
}
