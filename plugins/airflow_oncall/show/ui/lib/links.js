/** Places in Airflow's own pages, as its router wants them. Pure. */

const PAGE = "/plugin/oncall";

/** @param {number} id */
export function incidentPage(id) {
  return `${PAGE}?incident=${id}`;
}

/** A view of our page. @param {string} view @param {Record<string, string>} more */
export function viewPage(view, more = {}) {
  const params = new URLSearchParams({ ...(view ? { view } : {}), ...more }).toString();
  return params ? `${PAGE}?${params}` : PAGE;
}

/** @param {string} dagId */
export function dagPage(dagId) {
  return `/dags/${encodeURIComponent(dagId)}`;
}

/** @param {{dag_id: string, run_id: string}} row */
export function runPage(row) {
  return `${dagPage(row.dag_id)}/runs/${encodeURIComponent(row.run_id)}`;
}

/** A task instance with its log. @param {{dag_id: string, run_id: string, task_id: string, map_index: number}} row */
export function taskPage(row, tryNumber = 0) {
  const mapped = row.map_index >= 0 ? `/mapped/${row.map_index}` : "";
  return `${runPage(row)}/tasks/${encodeURIComponent(row.task_id)}${mapped}${tryNumber > 0 ? `?try_number=${tryNumber}` : ""}`;
}

/** The run id of one of our questions: the incident it is about. @param {string} runId @returns {number|null} */
export function incidentAsked(runId) {
  const found = /^oncall-(\d+)-\d+-\w+$/.exec(runId);
  return found ? Number(found[1]) : null;
}
