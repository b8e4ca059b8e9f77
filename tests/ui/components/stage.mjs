/** A stage for components without a browser: React itself, drawing to a tree instead of a page. Chakra's components are only names. */

import { createRequire } from "node:module";
import { mock } from "node:test";

globalThis.IS_REACT_ACT_ENVIRONMENT = true;
const require = createRequire(`${process.env.REACT_HOME}/`);
const React = require("react");
const { act, create } = require("react-test-renderer");
let stage; // what is on

const parts = new Map(); // by path, for another component under the same name would be drawn anew, without what its children remember

/** Under each name a component that is drawn as an element of this name; what makes something of what it is given gives it back. */
function named(path) {
  if (!parts.has(path)) {
    const part = path.startsWith("create") ? (given) => given : (props) => React.createElement(path, props);
    const get = (own, name) => (isPart(name) ? named(path ? `${path}.${name}` : name) : own[name]);
    parts.set(path, new Proxy(part, { get }));
  }
  return parts.get(path);
}
const isPart = (name) => typeof name === "string" && /^([A-Z]|create)/.test(name);

function put(next) {
  stage.address = typeof next === "function" ? next(stage.address) : new URLSearchParams(next);
  stage.listeners.forEach((listener) => listener());
}

function listen(listener) {
  stage.listeners.add(listener);
  return () => stage.listeners.delete(listener);
}

Object.assign(globalThis, {
  React,
  ReactRouterDOM: { Link: "a", useSearchParams: () => [React.useSyncExternalStore(listen, () => stage.address), put] },
  ChakraUI: named(""),
  document: { visibilityState: "visible", addEventListener: () => {}, removeEventListener: () => {} },
});

const turn = () => new Promise((done) => setImmediate(done));

/** Do something, and wait until every answer is there and all is drawn. */
export async function until(done) {
  await act(async () => {
    await done();
    for (let calm = 0; calm < 10; calm++) await turn();
  });
}

/** Show an element; time stands still until `pass`. @param {object} element @param {string} address what follows the question mark */
export async function show(element, address = "") {
  if (stage) await act(() => stage.renderer.unmount());
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  stage = { address: new URLSearchParams(address), listeners: new Set() };
  await until(() => void (stage.renderer = create(element)));
}

/** Show it with other properties. */
export const update = (element) => until(() => stage.renderer.update(element));

/** Let time pass. */
export const pass = (seconds) => until(() => mock.timers.tick(seconds * 1000));

/** All that is drawn. */
export const drawing = () => [stage.renderer.toJSON() ?? []].flat();

/** The address as it is now. */
export const address = () => stage.address.toString();
