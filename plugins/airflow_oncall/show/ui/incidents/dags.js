/** The filter for DAGs: those that Airflow shows to the reader are offered while a name is typed. */

import { h, React } from "../host.js";
import { useLive } from "../hooks.js";
import { airflow } from "../lib/api.js";
import { SeveralOfMany } from "../parts/several.js";

const OFFERED = 20;

/** @param {{values: string[], onChange: (values: string[]) => void}} given */
export function Dags({ values, onChange }) {
  const [typed, setTyped] = React.useState("");
  const [isOpen, setOpen] = React.useState(false);
  const query = { limit: OFFERED, order_by: "dag_id", ...(typed ? { dag_id_pattern: typed } : {}) };
  const load = async (signal) => (isOpen ? (await airflow("dags", { query, signal })).dags.map((one) => one.dag_id) : []);
  const { data } = useLive(load, `${isOpen} ${typed}`);
  return h(SeveralOfMany, { label: "DAG", any: "Any DAG", values, offered: data ?? [], typed, onType: setTyped, onChange, onOpen: setOpen });
}
