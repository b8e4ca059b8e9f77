/** Words that the package has too, in `incident.py` and `conf.py`; a test keeps them alike. */

export const STATES = [
  "watching",
  "open",
  "diagnosed",
  "asked",
  "acting",
  "waiting",
  "escalated",
  "observed",
  "verifying",
  "held",
  "resolved",
  "self_healed",
  "closed",
];
export const SEVERITIES = ["critical", "high", "medium", "low"];
export const CATEGORIES = [
  "database_connectivity",
  "database_performance",
  "storage_exhaustion",
  "memory_exhaustion",
  "network_connectivity",
  "network_timeout",
  "rate_limit",
  "authentication",
  "configuration_error",
  "missing_data",
  "data_quality",
  "code_error",
  "infrastructure_failure",
  "workflow_timeout",
];
/** The label of what was no failure at all. */
export const NO_INCIDENT = "none";

/** The DAG that asks people. */
export const APPROVAL_DAG = "oncall_approval";
/** First and last year of which the API takes times. */
export const YEARS = [1970, 9000];

/** What each mode means, with its colour. */
export const MODES = {
  shadow: ["blue", "Only watches: says what it would do, and does nothing."],
  ask: ["purple", "Asks a person before every repair."],
  auto: ["green", "Repairs what is safe by itself, and asks before what is risky."],
};
