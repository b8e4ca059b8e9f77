/** Numbers to places in a plot. Pure. */

/**
 * A straight scale.
 * @param {[number, number]} domain @param {[number, number]} range
 * @returns {(value: number) => number}
 */
export function linear([from, to], [start, end]) {
  const width = to - from || 1;
  return (value) => round(start + ((value - from) / width) * (end - start));
}

/** Two digits are finer than a pixel. @param {number} value */
export function round(value) {
  return Math.round(value * 100) / 100;
}

/**
 * Round marks from 0 to at least `most`, about `wanted` of them, whole numbers only.
 * @param {number} most @param {number} wanted
 * @returns {number[]}
 */
export function ticks(most, wanted = 4) {
  const step = Math.max(1, niceStep(most / wanted));
  const last = Math.max(1, Math.ceil(most / step));
  return Array.from({ length: last + 1 }, (_, number) => number * step);
}

/** The least of 1, 2, 5 times a power of ten that is not less. @param {number} rough */
function niceStep(rough) {
  if (rough <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough - 1e-9) ?? 10 * power;
}

/**
 * A path through points; a gap where there is none.
 * @param {Array<[number, number]|null>} points
 */
export function path(points) {
  return points.map((point, number) => (point ? `${number && points[number - 1] ? "L" : "M"}${point[0]},${point[1]}` : "")).join("");
}

/**
 * Which labels of an axis are written: at most so many, the last one among them.
 * @param {number} number of labels @param {number} most
 * @returns {number[]}
 */
export function labelled(number, most) {
  const every = Math.max(1, Math.ceil(number / most));
  return Array.from({ length: number }, (_, place) => place).filter((place) => (number - 1 - place) % every === 0);
}
