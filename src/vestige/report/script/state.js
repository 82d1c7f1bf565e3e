// What the reader chose, and the samples that follow from it; parts of the page listen.
const state = {
  measure: data.measures[0],
  scale: "raw",
  range: null, // of scores, as they are shown: [low, high]
  area: null, // of the scatter plot: {x: [low, high], y: [low, high]}
  order: "high",
  view: "most",
  role: data.ranked,
  planted: false,
  marked: "any",
  words: "",
  draw: 1,
};

const listeners = [];
const listen = (listener) => listeners.push(listener);
const change = (changes) => {
  Object.assign(state, changes);
  for (const listener of listeners) listener(Object.keys(changes));
};

const divisor = () => {
  const range = state.scale === "raw" ? null : state.measure.ranges[state.scale];
  return range ? range[1] - range[0] : 1;
};
const scaled = (value) => (value === null || value === undefined ? null : value / divisor());
const scoreOf = (row) => scaled(data.values[state.measure.name][row]);
const errorOf = (row) => scaled(data.errors[state.measure.name]?.[row]);

const inside = (value, range) => range === null || (value !== null && value >= range[0] && value <= range[1]);

// A random order that a row keeps until the next draw (a hash of both: Knuth's multiplier, then mixing).
const lot = (row) => {
  let mixed = Math.imul(row + 1, 2654435761) ^ Math.imul(state.draw, 40503);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 2246822519);
  return (mixed ^ (mixed >>> 13)) >>> 0;
};

// Missing values come last in either direction; equal ones keep the order of the table.
const by = (value, sign) => (one, other) => {
  const [a, b] = [value(one), value(other)];
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (a - b);
};

// Groups of several samples first, those that score highest leading; within a group from the highest score down.
const byGroup = (rows) => {
  const groups = new Map();
  for (const row of rows) {
    if (groups.has(groupOf(row))) groups.get(groupOf(row)).push(row);
    else groups.set(groupOf(row), [row]);
  }
  const mean = (members) => members.reduce((sum, row) => sum + (scoreOf(row) ?? 0), 0) / members.length;
  const ranked = [...groups.values()].map((members) => [members.length > 1, mean(members), members]);
  ranked.sort((a, b) => b[0] - a[0] || b[1] - a[1]);
  return ranked.flatMap(([, , members]) => members.sort(by(scoreOf, -1)));
};

const ORDERS = {
  high: ["score, highest first", (rows) => rows.sort(by(scoreOf, -1))],
  low: ["score, lowest first", (rows) => rows.sort(by(scoreOf, 1))],
  random: ["random", (rows) => rows.sort(by(lot, 1))],
  group: ["group, highest mean first", byGroup],
  unseen: ["unseen alignment, lowest first", (rows) => rows.sort(by((row) => data.align_out[row], 1))],
  seen: ["seen alignment, lowest first", (rows) => rows.sort(by((row) => data.align_in[row], 1))],
  key: ["key", (rows) => rows.sort((a, b) => (data.key[a] < data.key[b] ? -1 : 1))],
};

const chosenRows = () => {
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = rowsListed.filter(
    (row) =>
      (state.role === "all" || roleOf(row) === state.role) &&
      (!state.planted || data.planted[row]) &&
      (state.marked === "any" || (marks.of(row) ?? "none") === state.marked) &&
      inside(scoreOf(row), state.range) &&
      (state.area === null || (inside(data.x[row], state.area.x) && inside(data.y[row], state.area.y))) &&
      words.every((word) => haystack(row).includes(word)),
  );
  // A sample without a score is at neither end of a ranking.
  const ranked = ["most", "least"].includes(state.view) ? kept.filter((row) => scoreOf(row) !== null) : kept;
  return ORDERS[state.order][1](ranked);
};
