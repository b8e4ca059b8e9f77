/** Questions to people, through Airflow's own endpoints: who may answer and who did is Airflow's business. */

import { airflow, Failure } from "./api.js";
import { APPROVAL_DAG } from "./words.js";

/** Questions of a page, at most. */
export const PAGE = 50;

/**
 * Questions of ours that wait for an answer, those that wait longest first.
 * @param {AbortSignal} signal @param {number} offset how many to leave out
 * @returns {Promise<{items: object[], total: number}>}
 */
export async function waiting(signal, limit = PAGE, offset = 0) {
  const query = { response_received: false, state: "awaiting_input", order_by: "created_at", limit, offset };
  const said = await airflow(`dags/${APPROVAL_DAG}/dagRuns/~/hitlDetails`, { query, signal });
  return { items: said.hitl_details, total: said.total_entries };
}

/**
 * One question.
 * @param {{dag_id: string, run_id: string, task_id: string, map_index: number}} asked
 * @param {AbortSignal} [signal]
 */
export function question(asked, signal) {
  return airflow(address(asked), { signal });
}

/**
 * Answer a question; when somebody was faster, say who and what.
 * @param {{dag_id: string, run_id: string, task_id: string, map_index: number}} asked @param {string} option
 */
export async function answer(asked, option) {
  try {
    return await airflow(address(asked), { method: "PATCH", body: { chosen_options: [option], params_input: {} } });
  } catch (failure) {
    if (failure.status !== 409) throw failure;
    const now = await question(asked);
    const answered = `${(now.chosen_options ?? []).join(", ")} by ${now.responded_by_user?.name ?? "somebody"}`;
    throw new Failure(409, "answered", failure.message, { state: "answered", detail: `${answered}.` });
  }
}

/** Whether the question is put to the user: to anybody, or to those with the ids in it. @param {object} detail @param {string} userId */
export function isFor(detail, userId) {
  const named = detail.assigned_users ?? [];
  return named.length === 0 || named.some((one) => one.id === userId);
}

function address({ dag_id: dagId, run_id: runId, task_id: taskId, map_index: mapIndex }) {
  return `dags/${[dagId, "dagRuns", runId, "taskInstances", taskId, mapIndex].map(encodeURIComponent).join("/")}/hitlDetails`;
}
