/** Who reads the page, and in which mode the system is. */

import { LIVE, useLive } from "../hooks.js";
import { oncall } from "../lib/api.js";

export function useMe() {
  return useLive((signal) => oncall("me", { signal }), "me", LIVE);
}
