/** A stage for components without a browser: as much of React as they use. */

import { mock } from "node:test";

const NAME = Symbol("name");
const below = (path, name) => (name === NAME ? path : named(path ? `${path}.${String(name)}` : String(name)));
/** Chakra's components, which are only names here; what is no component but called gives back what it is given. */
const named = (path) => new Proxy(() => {}, { get: (_, name) => below(path, name), apply: (_, __, given) => given[0] });
let drawn; // the component that is being drawn, and which of its hooks comes next
let stage; // what is on

function hook(make) {
  const { hooks } = drawn.component;
  if (drawn.next === hooks.length) hooks.push(make());
  return hooks[drawn.next++];
}

function useState(first) {
  const own = stage;
  const mine = hook(() => {
    const state = { value: typeof first === "function" ? first() : first };
    state.set = (next) => {
      const value = typeof next === "function" ? next(state.value) : next;
      if (Object.is(value, state.value)) return;
      state.value = value;
      own.isBehind = true;
    };
    return state;
  });
  return [mine.value, mine.set];
}

function useEffect(effect, needs) {
  const mine = hook(() => ({ needs: undefined, end: undefined, isEffect: true }));
  if (mine.needs && needs?.every((one, place) => Object.is(one, mine.needs[place]))) return;
  mine.needs = needs ?? [NaN];
  stage.effects.push(() => {
    mine.end?.();
    mine.end = effect();
  });
}

const React = {
  createElement: (type, props, ...children) => ({
    type,
    key: props?.key,
    props: { ...props, ...(children.length ? { children: children.length > 1 ? children : children[0] } : {}) },
  }),
  Fragment: ({ children }) => children,
  useState,
  useEffect,
  useLayoutEffect: useEffect,
  useRef: (current) => hook(() => ({ current })),
  useCallback: (made) => hook(() => ({ made })).made,
  useId: () => "id",
};
const Router = { Link: "a", useSearchParams: () => [stage.address, (next) => put(next)] };

function put(next) {
  stage.address = typeof next === "function" ? next(stage.address) : new URLSearchParams(next);
  stage.isBehind = true;
}

Object.assign(globalThis, {
  React,
  ReactRouterDOM: Router,
  ChakraUI: named(""),
  document: { visibilityState: "visible", addEventListener: () => {}, removeEventListener: () => {} },
});

function draw(node, path) {
  if (Array.isArray(node)) return node.flatMap((one, place) => draw(one, `${path}/${one?.key ?? place}`));
  if (node === null || node === undefined || typeof node === "boolean") return [];
  if (typeof node !== "object") return [String(node)];
  const { type, key, props } = node;
  const own = `${path}.${key ?? ""}`;
  if (typeof type === "string" || type[NAME]) return [{ type: type[NAME] ?? type, props, children: draw(props.children, own) }];
  const name = `${own}<${type.name}>`;
  const component = stage.components.get(name) ?? { hooks: [] };
  stage.seen.set(name, component);
  const before = drawn;
  drawn = { component, next: 0 };
  const made = type(props);
  drawn = before;
  return draw(made, name);
}

function redraw() {
  stage.isBehind = false;
  stage.seen = new Map();
  stage.tree = draw(stage.element, "");
  for (const [name, { hooks }] of stage.components) if (!stage.seen.has(name)) hooks.forEach((one) => one.isEffect && one.end?.());
  stage.components = stage.seen;
  for (const effect of stage.effects.splice(0)) effect();
}

const turn = () => new Promise((done) => setImmediate(done));

/** Wait until nothing changes any more: no answer is on its way, and all is drawn. */
export async function settled() {
  for (let calm = 0; calm < 5; calm++) {
    await turn();
    if (!stage.isBehind) continue;
    redraw();
    calm = 0;
  }
}

/** Show an element; time stands still until `pass`. @param {object} element @param {string} address what follows the question mark */
export async function show(element, address = "") {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  stage = { element, address: new URLSearchParams(address), components: new Map(), effects: [], isBehind: true, tree: [] };
  await settled();
}

/** Show it with other properties. */
export async function update(element) {
  Object.assign(stage, { element, isBehind: true });
  await settled();
}

/** Let time pass. */
export async function pass(seconds) {
  mock.timers.tick(seconds * 1000);
  await settled();
}

/** All that is drawn. */
export const drawing = () => stage.tree;

/** The address as it is now. */
export const address = () => stage.address.toString();
