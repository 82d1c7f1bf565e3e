// The controls, and what follows from them.
const SCALES = {
  raw: "raw",
  candidate: "÷ range of candidates",
  union: "÷ range with independent",
};

const refresh = () => {
  const rows = chosenRows();
  gallery.show(rows);
  const whose = state.role === "all" ? "samples" : `${state.role} samples`;
  const total = state.role === "all" ? data.listed : rowsListed.filter((row) => roleOf(row) === state.role).length;
  const limits = [
    state.range ? ["score " + state.range.map((value) => number(value)).join(" to "), () => setRange(null)] : null,
    state.area ? ["an area of the scatter plot", () => charts.unbrush()] : null,
  ].filter(Boolean);
  byId("found").replaceChildren(
    make("b", {}, rows.length.toLocaleString("en")),
    ` of ${total.toLocaleString("en")} ${whose}`,
    ...limits.map(([text, act]) =>
      make("button.limit", { type: "button", onclick: act, "aria-label": `no longer only: ${text}` }, `${text} ✕`),
    ),
    rows.length ? "" : make("span.none", {}, " — nothing fits: widen the search, the range or the marks."),
  );
  byId("cards").hidden = !rows.length;
};

const setRange = (range) => {
  charts.brush(range);
  change({ range });
};

const drawLegend = () => {
  const means = data.means[state.measure.name] ?? {};
  byId("legend").replaceChildren(
    ...(data.series[state.measure.name] ?? []).map((name) => {
      const found = means[name];
      const text = found ? ` ${number(scaled(found[0]))}` : "";
      const between = found ? interval(scaled(found[1]), scaled(found[2])) : "";
      return make(
        "button",
        { type: "button", "aria-pressed": "true", "data-series": name, title: between ? `mean, 95% interval ${between}` : null },
        make(`i.swatch.${name}`),
        name,
        make("b", {}, text),
      );
    }),
  );
};

const drawScale = () => {
  const { ranges } = state.measure;
  options(byId("scale"), ["raw", ...Object.keys(ranges)].map((name) => [name, SCALES[name]]), state.scale);
  const range = ranges[state.scale];
  byId("scale-note").textContent = range
    ? `max ${number(range[1])} minus min ${number(range[0])} = ${number(range[1] - range[0])}`
    : state.measure.over
      ? `intervals of samples: 95%, over ${state.measure.over}`
      : "";
};

const drawFields = () => {
  const shown = state.range ?? [null, null];
  for (const [id, value] of [["low", shown[0]], ["high", shown[1]]])
    if (document.activeElement !== byId(id)) byId(id).value = value === null ? "" : Number(value.toPrecision(4));
};

const VIEWS = {
  most: { order: "high", planted: false },
  least: { order: "low", planted: false },
  random: { order: "random", planted: false },
  planted: { order: "high", planted: true },
  group: { order: "group", planted: false },
};

const choose = (view) =>
  change({ view, ...VIEWS[view], draw: view === "random" && state.view === "random" ? state.draw + 1 : state.draw });

const drawTools = () => {
  for (const button of byId("views").children) {
    button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
    if (button.dataset.view === "planted") button.hidden = !data.planted.some(Boolean);
    if (button.dataset.view === "group") button.hidden = !data.group.some((group) => group !== null);
    if (button.dataset.view === "random") button.textContent = state.view === "random" ? "Random again" : "Random";
  }
  byId("order").value = state.order;
  byId("role").value = state.role;
  byId("marked").value = state.marked;
};

const drawMarks = () => {
  byId("export").textContent = `Export marks (${marks.count().toLocaleString("en")})`;
  byId("export").title = marks.lasting() ? "as CSV, for vestige clean --keys" : "This browser keeps no marks: export them before you close the page.";
};

const save = () => {
  const link = make("a", {
    href: URL.createObjectURL(new Blob([marks.csv()], { type: "text/csv" })),
    download: "marks.csv",
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
};

const wire = () => {
  options(byId("measure"), data.measures.map(({ name, title }) => [name, title]), state.measure.name);
  const roles = data.roles.filter((role) => rowsListed.some((row) => roleOf(row) === role));
  options(byId("role"), [...roles.map((role) => [role, role]), ["all", "all roles"]], state.role);
  options(byId("order"), Object.entries(ORDERS).map(([name, [text]]) => [name, text]), state.order);
  options(byId("marked"), [["any", "any"], ["none", "unmarked"], ...MARKS.map((mark) => [mark, mark])], state.marked);

  byId("measure").addEventListener("change", (event) => {
    const measure = data.measures.find(({ name }) => name === event.target.value);
    change({ measure, scale: measure.ranges[state.scale] ? state.scale : "raw", range: null });
  });
  byId("scale").addEventListener("change", (event) => change({ scale: event.target.value, range: null }));
  byId("legend").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") === "false"));
    charts.hide([...byId("legend").querySelectorAll('[aria-pressed="false"]')].map((other) => other.dataset.series));
  });
  for (const id of ["low", "high"])
    byId(id).addEventListener("change", () => {
      const [low, high] = ["low", "high"].map((own) => byId(own).valueAsNumber);
      if (Number.isNaN(low) && Number.isNaN(high)) setRange(null);
      else setRange([Number.isNaN(low) ? -Infinity : low, Number.isNaN(high) ? Infinity : high]);
    });
  byId("whole-range").addEventListener("click", () => setRange(null));
  byId("colour").addEventListener("change", () => charts.scatter());

  byId("views").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(button.dataset.view);
  });
  let typing;
  byId("words").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => change({ words: event.target.value }), 120);
  });
  byId("role").addEventListener("change", (event) => change({ role: event.target.value }));
  byId("order").addEventListener("change", (event) => change({ order: event.target.value, view: "" }));
  byId("marked").addEventListener("change", (event) => change({ marked: event.target.value }));
  byId("export").addEventListener("click", save);
  byId("import").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    const count = marks.load(await file.text());
    event.target.value = "";
    byId("found").append(` — ${many(count, "mark")} loaded from ${file.name}`);
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
    event.preventDefault();
    byId("words").focus();
  });
};

if (data.listed) {
  listen((names) => {
    drawTools();
    drawMarks();
    drawFields();
    if (names.includes("measure") || names.includes("scale")) {
      drawScale();
      drawLegend();
      charts.histogram();
    }
    if (names.includes("marks")) {
      gallery.marked();
      detail.marked();
    }
    // A mark does not move the cards under the reader's hand.
    if (names.some((name) => name !== "marks")) refresh();
  });
  wire();
  drawScale();
  drawLegend();
  drawTools();
  drawMarks();
  refresh();
}
document.addEventListener("DOMContentLoaded", charts.start);

// On paper, and behind a link, nothing stays folded.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
const unfold = () => {
  const target = location.hash && byId(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
};
addEventListener("hashchange", unfold);
unfold();
