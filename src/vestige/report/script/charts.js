// The charts: drawn by Vega from specifications without code, coloured by the style of the page.
const charts = (() => {
  const described = JSON.parse(byId("charts").textContent);
  const views = {};
  let wanted = 0; // a chart that was asked for later takes the place of one under way
  let pointed = null;

  const EMBED = {
    mode: "vega-lite",
    renderer: "svg", // styled by the page, sharp on paper
    actions: false,
    ast: true, // expressions are interpreted: the page's policy forbids eval
    defaultStyle: false,
    tooltip: { theme: "page", disableDefaultStyle: true },
  };

  const draw = async (name, element, specification) => {
    views[name]?.finalize();
    try {
      const { view } = await vegaEmbed(element, specification, EMBED);
      views[name] = view;
      return view;
    } catch (error) {
      element.textContent = `The chart could not be drawn: ${error.message}`;
      return null;
    }
  };

  // The specification of raw scores, with every score divided by the range.
  const divided = (specification) => {
    const copy = structuredClone(specification);
    const by = divisor();
    if (by !== 1)
      for (const rows of Object.values(copy.datasets ?? {}))
        for (const row of rows)
          for (const name of ["score", "low", "high"]) if (name in row) row[name] /= by;
    return copy;
  };

  const histogram = async () => {
    const own = ++wanted;
    const specification = described.histograms[state.measure.name];
    const element = byId("chart");
    if (!specification) {
      element.replaceChildren(make("p.none", {}, "No sample has this score."));
      return;
    }
    const view = await draw("histogram", element, divided(specification));
    if (!view || own !== wanted) return;
    const outlines = view.data("outlines").map(({ series, run, score, share }) => ({ series, run, score, share }));
    views.outlines = (off) => view.data("outlines", outlines.filter((row) => !off.includes(row.series))).runAsync();
    view.addSignalListener("brush", (_, value) => {
      const range = Object.values(value ?? {})[0];
      brushed(range ? [Math.min(...range), Math.max(...range)] : null);
    });
  };

  // A brush moves many times a second, and the gallery need not follow every step.
  let last = 0;
  const calm = (act) => {
    const own = ++last;
    setTimeout(() => own === last && act(), 60);
  };
  const brushed = (range) => calm(() => JSON.stringify(range) !== JSON.stringify(state.range) && change({ range }));

  // The brush as somebody typed it.
  const brush = (range) => {
    const view = views.histogram;
    if (!view) return;
    view.signal("brush_x", range ? range.map((value) => view.scale("x")(value)) : [0, 0]).runAsync();
  };

  const SERIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#a08b00", "#7b5fc0"];

  // The largest groups of several samples, by name.
  const largestGroups = () => {
    const sizes = new Map();
    for (const row of rowsListed) if (data.group[row] !== null) sizes.set(data.group[row], (sizes.get(data.group[row]) ?? 0) + 1);
    const several = [...sizes].filter(([, size]) => size > 1).sort((a, b) => b[1] - a[1]);
    return several.slice(0, SERIES.length).map(([group]) => group);
  };

  const colours = () => {
    if (byId("colour").value === "group") {
      const groups = largestGroups();
      return {
        of: (row) => (groups.includes(data.group[row]) ? cut(visible(data.group[row]), 40) : "other groups"),
        domain: ["other groups", ...groups.map((group) => cut(visible(group), 40))],
        range: ["var(--rail)", ...SERIES],
      };
    }
    const present = new Set(rowsListed.map(roleOf));
    const domain = ["external", "shared", "independent", "candidate", "mixed"].filter((role) => present.has(role));
    if (data.planted.some(Boolean)) domain.push("planted");
    return { of: (row) => (data.planted[row] ? "planted" : roleOf(row)), domain, range: domain.map((name) => `var(--${name})`) };
  };

  const scatter = async () => {
    const { of, domain, range } = colours();
    // Those in front are drawn last.
    const points = rowsListed
      .filter((row) => data.x[row] !== null && data.y[row] !== null)
      .map((row) => ({ row, x: data.x[row], y: data.y[row], series: of(row), caption: cut(captionOf(row), 60) }))
      .sort((a, b) => domain.indexOf(a.series) - domain.indexOf(b.series));
    const known = points.flatMap(({ x, y }) => [x, y]);
    const ends = [known.reduce((a, b) => Math.min(a, b), Infinity), known.reduce((a, b) => Math.max(a, b), -Infinity)];
    const scale = { domain: ends, nice: true };
    const x = { field: "x", type: "quantitative", scale, title: described.axes[0] };
    const y = { field: "y", type: "quantitative", scale, title: described.axes[1] };
    const view = await draw("scatter", byId("scatter"), {
      config: described.config,
      width: "container",
      height: 300,
      datasets: { points, pointed: [], diagonal: [{ x: ends[0], y: ends[0] }, { x: ends[1], y: ends[1] }] },
      layer: [
        { data: { name: "diagonal" }, mark: { type: "line", stroke: "var(--rail)", strokeWidth: 1 }, encoding: { x, y } },
        {
          data: { name: "points" },
          params: [{ name: "area", select: { type: "interval", mark: { fill: "var(--link)", fillOpacity: 0.08, stroke: "var(--link)" } } }],
          mark: { type: "point", filled: true, size: 22, opacity: 0.6, cursor: "pointer" },
          encoding: {
            x,
            y,
            color: { field: "series", type: "nominal", legend: null, scale: { domain, range } },
            tooltip: [{ field: "caption" }, { field: "series" }, { field: "x", format: ".3f", title: described.axes[0] }, { field: "y", format: ".3f", title: described.axes[1] }],
          },
        },
        {
          data: { name: "pointed" },
          mark: { type: "point", size: 160, stroke: "var(--ink)", strokeWidth: 2, fill: null },
          encoding: { x, y },
        },
      ],
    });
    byId("scatter-legend").replaceChildren(
      ...domain.map((name, at) => {
        const swatch = make("i.swatch");
        swatch.style.setProperty("--own", range[at]);
        return make("span.key", {}, swatch, name);
      }),
    );
    if (!view) return;
    view.addSignalListener("area", (_, value) => calm(() => change({ area: value?.x && value?.y ? { x: value.x, y: value.y } : null })));
    view.addEventListener("click", (_, item) => item?.datum?.row !== undefined && detail.open(item.datum.row));
  };

  const point = (row) => {
    pointed = row;
    if (!views.scatter) return;
    const place = row === null || data.x[row] === null || data.y[row] === null ? [] : [{ x: data.x[row], y: data.y[row] }];
    views.scatter.data("pointed", place).runAsync();
  };

  // The bundle comes after this script, so that the samples are there first.
  const start = async () => {
    for (const element of document.querySelectorAll("[data-section]"))
      draw(`section ${element.dataset.section}`, element, described.sections[element.dataset.section]);
    if (!data.listed) return;
    await histogram();
    if (data.x) await scatter();
    else byId("scatter-panel").remove();
    if (pointed !== null) point(pointed);
    document.documentElement.dataset.drawn = "";
  };

  return {
    start,
    histogram,
    scatter,
    brush,
    point,
    hide: (off) => views.outlines?.(off),
    unbrush: () => {
      scatter(); // anew, without the area
      change({ area: null });
    },
  };
})();
