/** How pages load, stay current, and do things. */

import { React } from "./host.js";
import { Failure } from "./lib/api.js";
import { chosenAfter } from "./lib/query.js";

/** Seconds between two looks of a page that is being looked at. */
export const LIVE = 10;

/**
 * Load something: at once, whenever `key` changes, and every so many seconds while the tab is visible.
 * What was loaded stays while it is loaded again, and when that fails.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {string} key says what is loaded
 * @param {number} seconds 0: only once
 * @returns {{data: T|undefined, failure: Failure|undefined, isLoading: boolean, reload: () => void}}
 */
export function useLive(load, key, seconds = 0) {
  const [state, setState] = React.useState({ data: undefined, failure: undefined, key: undefined });
  const [turn, setTurn] = React.useState(0);
  const newest = React.useRef(load);
  newest.current = load;
  React.useEffect(() => {
    const controller = new AbortController();
    let isUnderWay = false;
    const look = async () => {
      if (isUnderWay) return;
      isUnderWay = true;
      try {
        const data = await newest.current(controller.signal);
        if (!controller.signal.aborted) setState({ data, failure: undefined, key });
      } catch (failure) {
        if (!controller.signal.aborted)
          setState((last) => ({ data: last.key === key ? last.data : undefined, failure: known(failure), key }));
      } finally {
        isUnderWay = false;
      }
    };
    const lookIfSeen = () => void (document.visibilityState === "visible" && look());
    look();
    const timer = seconds ? setInterval(lookIfSeen, seconds * 1000) : undefined;
    if (seconds) document.addEventListener("visibilitychange", lookIfSeen);
    return () => {
      controller.abort();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", lookIfSeen);
    };
  }, [key, seconds, turn]);
  const reload = React.useCallback(() => setTurn((last) => last + 1), []);
  return { data: state.data, failure: state.key === key ? state.failure : undefined, isLoading: state.key !== key, reload };
}

const changed = (failure) => failure.status === 409;

/**
 * Do something that can fail, one at a time.
 * @template T
 * @param {(...given: any[]) => Promise<T>} deed
 * @returns {{run: (...given: any[]) => Promise<T|undefined>, attempt: (...given: any[]) => Promise<T|false>, isBusy: boolean,
 *   failure: Failure|undefined, forget: () => void}} `attempt`: the same, for who says by itself what failed; `false` where
 *   something changed meanwhile, which is for whoever shows `failure` to say
 */
export function useDeed(deed) {
  const [state, setState] = React.useState({ isBusy: false, failure: undefined });
  const tried = async (given, isOurs) => {
    setState({ isBusy: true, failure: undefined });
    try {
      const done = await deed(...given);
      setState({ isBusy: false, failure: undefined });
      return done;
    } catch (failure) {
      setState({ isBusy: false, failure: isOurs(failure) ? known(failure) : undefined });
      throw failure;
    }
  };
  const run = (...given) => tried(given, () => true).catch(() => undefined);
  const attempt = (...given) =>
    tried(given, changed).catch((failure) => {
      if (!changed(failure)) throw failure;
      return false;
    });
  return { run, attempt, ...state, forget: () => setState({ isBusy: false, failure: undefined }) };
}

/**
 * Values that are chosen in a list. While it is open its reader's choice counts: the address, which the known values come from,
 * follows it a moment later. Else the address counts.
 * @param {string[]} known @param {(values: string[]) => void} onChange
 * @returns {{values: string[], put: (next: string[]) => void, meanwhile: (opens: boolean) => void}} `meanwhile`: when it opens or closes
 */
export function useChosen(known, onChange) {
  const [own, setOwn] = React.useState(undefined);
  const isOpen = React.useRef(false);
  const values = own ?? known;
  const newest = React.useRef(values);
  React.useLayoutEffect(() => void (newest.current = values));
  const put = (next) => {
    newest.current = chosenAfter(newest.current, values, next); // of two quick choices the second is made before the first is drawn
    setOwn(newest.current);
    onChange(newest.current);
  };
  React.useEffect(() => void (isOpen.current || setOwn(undefined)), [known.join("\n")]); // cleared, or changed elsewhere
  const meanwhile = (opens) => {
    isOpen.current = opens;
    setOwn((last) => (opens ? (last ?? known) : undefined)); // told of later than a quick first choice
  };
  return { values, put, meanwhile };
}

/** What is no answer of a server is a bug of a page, and belongs into the console. */
function known(failure) {
  if (failure instanceof Failure) return failure;
  console.error(failure);
  return new Failure(-1, "page", `This page has a bug: ${failure?.message ?? failure}`);
}
