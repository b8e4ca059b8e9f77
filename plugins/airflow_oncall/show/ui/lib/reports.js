/** What a model's version was measured to be, out of its metrics. Pure. */

/** The rows that tell most: none of their kind was seen in training. */
const ROWS = "unseen groups";
/** Whose report it is: the version's own stands first, its opponents' behind it. */
const OWN = ["challenger", "models alone", "models"];

/** The version's own report. @param {{metrics: object}} model */
function report(model) {
  const reports = model.metrics.reports ?? {};
  const own = OWN.find((name) => name in reports) ?? Object.keys(reports)[0];
  const rows = reports[own] ?? {};
  return rows[ROWS] ?? Object.values(rows)[0] ?? {};
}

/** Its figures by name. @param {{metrics: object}} model @returns {Record<string, number>} */
export function figuresOf(model) {
  return Object.fromEntries(
    Object.entries(report(model)).filter(([name, value]) => typeof value === "number" && !["rows", "groups"].includes(name)),
  );
}

/** On how many rows it was measured. @param {{metrics: object}} model */
export function rowsOf(model) {
  return report(model).rows ?? null;
}

/** Label -> answer -> rows. @param {{metrics: object}} model */
export function confusionOf(model) {
  return report(model).confusion ?? {};
}

/** The reliability curve, as the plot wants it. @param {{metrics: object}} model */
export function reliabilityOf(model) {
  return (report(model).reliability ?? []).map((bin) => ({ expected: bin.confidence, observed: bin.accuracy, number: bin.rows }));
}

/** @template {{trained_at: string}} T @param {T[]} models @returns {T[]} */
export function newestFirst(models) {
  return [...models].sort((one, other) => Date.parse(other.trained_at) - Date.parse(one.trained_at));
}
