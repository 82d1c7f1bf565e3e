// Accepted, unsure, rejected: kept by the browser under the name of the run, exported as CSV for `vestige clean`.
const MARKS = ["accept", "unsure", "reject"];

const marks = (() => {
  const place = `vestige marks ${data.run}`;
  let kept = new Map();
  let lasting = true;

  const read = () => {
    try {
      const found = Object.entries(JSON.parse(localStorage.getItem(place) ?? "{}"));
      kept = new Map(found.filter(([, mark]) => MARKS.includes(mark)));
    } catch {
      lasting = false;
    }
  };
  const write = () => {
    try {
      localStorage.setItem(place, JSON.stringify(Object.fromEntries(kept)));
    } catch {
      lasting = false;
    }
  };
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  // One pass over the text; a quoted field may hold commas, quotes (doubled) and line breaks.
  const parsed = (text) =>
    [...text.replace(/^\ufeff/, "").matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*)),([a-z]+)[ \t]*(?:\r?\n|$)/g)].map(
      ([, inQuotes, plain, mark]) => [inQuotes === undefined ? plain : inQuotes.replaceAll('""', '"'), mark],
    );

  read();
  // Another window with the same run.
  addEventListener("storage", (event) => {
    if (event.key !== place) return;
    read();
    change({ marks: true });
  });

  return {
    of: (row) => kept.get(data.key[row]),
    lasting: () => lasting,
    count: () => kept.size,
    toggle: (row, mark) => {
      if (kept.get(data.key[row]) === mark) kept.delete(data.key[row]);
      else kept.set(data.key[row], mark);
      write();
      change({ marks: true });
    },
    csv: () => ["key,mark", ...[...kept].map(([key, mark]) => `${quoted(key)},${mark}`)].join("\n") + "\n",
    load: (text) => {
      const known = new Set(data.key);
      const found = parsed(text).filter(([key, mark]) => known.has(key) && MARKS.includes(mark));
      for (const [key, mark] of found) kept.set(key, mark);
      write();
      change({ marks: true });
      return found.length;
    },
  };
})();
