/** An entry of what people know, between the API and a form. Pure. */

export const EMPTY = {
  name: "",
  category: "",
  fingerprint: "",
  pattern: "",
  example: "",
  actions: "",
  confidence: "0.7",
  notes: "",
  runbook: "",
  tags: "",
  parent: "",
};
const LISTS = ["actions", "tags"];

/** @param {Record<string, any>} entry as the API has it @returns {Record<string, string>} */
export function formOf(entry) {
  const texts = Object.keys(EMPTY).map((name) => [name, entry[name] ?? EMPTY[name]]);
  return Object.fromEntries(texts.map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : String(value)]));
}

/** @param {Record<string, string>} form @returns {Record<string, any>} without the name, which does not change */
export function entryOf(form) {
  const { name, confidence, ...texts } = form;
  const said = Object.entries(texts).map(([field, text]) => [field, LISTS.includes(field) ? listOf(text) : text.trim()]);
  return { ...Object.fromEntries(said), confidence: Number(confidence) };
}

/** What is known already when somebody writes down what an incident was. @param {object} incident */
export function drawnFrom(incident) {
  const said = incident.diagnosis?.evidence?.[0] ?? incident.occurrences?.at(-1)?.evidence.message ?? "";
  return formOf({
    name: nameOf(`${incident.category ?? "incident"}-${incident.task_id || incident.dag_id}`),
    category: incident.category ?? "",
    fingerprint: incident.fingerprint,
    example: said.replace(/^rule \S+ \([\d.]+\): /, ""),
    actions: incident.decisions?.at(-1)?.action ?? "",
  });
}

function nameOf(text) {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 60);
}

function listOf(text) {
  return text
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);
}
