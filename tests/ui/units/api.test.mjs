import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { airflow, Failure, oncall, serverNow } from "../../../plugins/airflow_oncall/show/ui/lib/api.js";
import { answer, isFor } from "../../../plugins/airflow_oncall/show/ui/lib/questions.js";

const real = globalThis.fetch;
const ASKED = { dag_id: "oncall_approval", run_id: "oncall-1-1-20261121T020000000000", task_id: "question", map_index: -1 };
let calls = [];

/** Answers that the server gives, one after the other. */
function serverSays(...answers) {
  calls = [];
  globalThis.fetch = async (url, how) => {
    calls.push({ url: String(url), method: how.method, body: how.body });
    const { status = 200, body = null, headers = {} } = answers[calls.length - 1];
    return new Response(body === null ? null : JSON.stringify(body), { status, headers });
  };
}

afterEach(() => {
  globalThis.fetch = real;
});

test("our API stands beside the version's folder, Airflow's at the root", async () => {
  serverSays({ body: {} }, { body: {} });
  await oncall("incidents", { query: { state: ["open", "asked"], q: "a&b" } });
  await airflow("dags/x");
  assert.match(calls[0].url, /airflow_oncall\/api\/v1\/incidents\?state=open&state=asked&q=a%26b$/);
  assert.match(calls[1].url, /plugins\/api\/v2\/dags\/x$/);
});

test("what an answer says is inert before any page has it", async () => {
  serverSays({ body: { items: [{ detail: "\u001b[31mred\u202e" }] } });
  assert.deepEqual(await oncall("incidents"), { items: [{ detail: "red\u27e8U+202E\u27e9" }] });
});

test("a failure carries the state as it is now", async () => {
  serverSays({ status: 409, body: { error: { code: "stale", message: "it changed", detail: { state: "closed" } } } });
  await assert.rejects(
    oncall("incidents/1"),
    (failure) => failure instanceof Failure && failure.status === 409 && failure.detail.state === "closed",
  );
});

test("what is no JSON is a failure with its status, and no network is one that says so", async () => {
  globalThis.fetch = async () => new Response("<html>Bad gateway</html>", { status: 502 });
  await assert.rejects(airflow("dags/x"), { status: 502 });
  globalThis.fetch = async () => Promise.reject(new TypeError("failed"));
  await assert.rejects(oncall("me"), { status: 0, code: "unreachable" });
});

test("the server's clock counts where this machine's is wrong", async () => {
  serverSays(
    { body: {}, headers: { Date: new Date(Date.now() + 3_600_000).toUTCString() } },
    { body: {}, headers: { Date: new Date().toUTCString() } },
  );
  await oncall("me");
  assert.equal(Math.abs(serverNow() - Date.now() - 3_600_000) < 10_000, true);
  await oncall("me");
  assert.equal(Math.abs(serverNow() - Date.now()) < 6_000, true);
});

test("an answer that came second says who was first", async () => {
  const first = { chosen_options: ["Reject"], responded_by_user: { name: "uma" } };
  serverSays({ status: 409, body: { detail: "already" } }, { body: first });
  await assert.rejects(answer(ASKED, "Approve"), (failure) => failure.detail.detail === "Reject by uma.");
  assert.deepEqual(
    calls.map((call) => call.method),
    ["PATCH", "GET"],
  );
  assert.match(calls[0].url, /dagRuns\/oncall-1-1-20261121T020000000000\/taskInstances\/question\/-1\/hitlDetails$/);
});

test("a question is for everybody, or for those whose ids it names, as Airflow decides it", () => {
  assert.equal(isFor({}, "7"), true);
  assert.equal(isFor({ assigned_users: [{ id: "7", name: "grace" }] }, "8"), false);
  assert.equal(isFor({ assigned_users: [{ id: "7", name: "Olga" }] }, "7"), true);
  assert.equal(isFor({ assigned_users: [{ id: "8", name: "7" }] }, "7"), false);
});
