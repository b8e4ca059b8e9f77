/** What Airflow's page loads. It takes each page from the global variable with the page's name, see `show/mounting.py`. */

import { DagTab } from "./pages/dag.js";
import { Dashboard } from "./pages/dashboard.js";
import { Oncall } from "./pages/oncall.js";
import { TaskTab } from "./pages/task.js";

Object.assign(globalThis, {
  Oncall,
  "Oncall incident": TaskTab,
  "Oncall incidents": DagTab,
  "Oncall dashboard": Dashboard,
});
