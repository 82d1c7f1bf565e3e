// All that is known of one sample, over the page: its media, texts, scores and nearest neighbours.
const detail = (() => {
  const dialog = byId("detail");
  let row = null;

  const part = (title, ...children) => make("section", {}, make("h3", {}, title), ...children);

  const media = () =>
    mediaOf(row).map((medium) => {
      const about = [medium.of, medium.seconds ? clock(medium.seconds) : "", medium.clip || medium.src ? medium.note : ""];
      const label = about.filter(Boolean).join(", ");
      const shown = medium.clip
        ? player(medium, `${medium.of} of ${captionOf(row) || data.key[row]}`)
        : medium.src
          ? make("img", { src: medium.src, width: medium.w, height: medium.h, alt: captionOf(row) || "no caption" })
          : make("p.none", {}, visible(medium.note ?? ""));
      return make("figure", {}, shown, medium.of === "image" ? null : make("figcaption", {}, label));
    });

  const captions = () => {
    const texts = data.captions[row].filter(Boolean).map((text) => make("li", { dir: "auto" }, visible(text)));
    return texts.length ? make(`ol.captions${texts.length > 1 ? "" : ".single"}`, {}, ...texts) : make("p.none", {}, "no caption");
  };

  const facts = () => {
    const named = [
      ["key", make("bdi", {}, cut(visible(data.key[row]), 1000))],
      ["group", data.group[row] === null ? null : make("bdi", {}, cut(visible(data.group[row]), 1000))],
      ["role", make(`span.of.${roleOf(row)}`, {}, roleOf(row) + (data.planted[row] ? ", planted" : ""))],
      ["seen", number(data.align_in[row])],
      ["unseen", number(data.align_out[row])],
      ["p", data.p_value[row] === null ? null : small(data.p_value[row])],
      ["q", data.q_value[row] === null ? null : small(data.q_value[row])],
    ];
    const kept = named.filter(([, value]) => value !== null);
    return make("dl.facts", {}, ...kept.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  };

  // Where a value stands among the ranked samples of its role.
  const rank = (name) => {
    const own = data.values[name][row];
    const others = rowsListed.filter((other) => data.role[other] === data.role[row] && data.values[name][other] !== null);
    return own === null ? "" : `${(1 + others.filter((other) => data.values[name][other] > own).length).toLocaleString("en")} of ${others.length.toLocaleString("en")}`;
  };

  const scores = () => {
    const lines = data.measures
      .filter(({ name }) => data.values[name][row] !== null)
      .map(({ name, title }) => {
        const [value, error] = [data.values[name][row], data.errors[name]?.[row] ?? null];
        return make(
          "tr",
          {},
          make("th", { scope: "row" }, title),
          make("td.strong", {}, number(value)),
          make("td", {}, error === null ? "" : interval(value - error, value + error)),
          make("td", {}, rank(name)),
        );
      });
    const heads = ["score", "", "95% interval", "rank"].map((text) => make("th", { scope: "col" }, text));
    return make("table.numbers", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...lines));
  };

  const blame = () => {
    const found = data.blame?.[row];
    if (!found) return null;
    return make(
      "p.blamed",
      {},
      make("b", {}, `The ${found[0]} is to blame: `),
      "taken from what is usual for each pair, its pairs score higher than the sample's other pairs",
      ` (p ${small(found[1])}, against samples no model saw).`,
    );
  };

  const neighbour = (other, similarity) =>
    make(
      "button.neighbour",
      { type: "button", onclick: () => open(other), "data-row": other },
      make("span.small", {}, still(other, "")),
      make("b", {}, number(similarity, 2)),
      make(`span.of.${roleOf(other)}`, {}, roleOf(other)),
      make("span.text", { dir: "auto" }, cut(captionOf(other), 120) || cut(visible(data.key[other]), 80)),
    );

  const neighbours = () =>
    row >= data.listed
      ? []
      : Object.entries(data.neighbours)
          .filter(([, found]) => found[row].length)
          .map(([modality, found]) =>
            make(
              "details.near",
              { open: modality === "image" || Object.keys(data.neighbours).length === 1 },
              make("summary", {}, `Nearest by ${modality}: `, make("b", {}, number(found[row][0][1], 2))),
              make(".neighbours", {}, ...found[row].map(([other, similarity]) => neighbour(other, similarity))),
            ),
          );

  const step = (by) => {
    const rows = gallery.rows();
    const at = rows.indexOf(row) + by;
    if (rows.includes(row) && rows[at] !== undefined) open(rows[at]);
  };

  const draw = () => {
    const at = gallery.rows().indexOf(row);
    const title = at < 0 ? "Sample" : `Sample ${(at + 1).toLocaleString("en")} of ${gallery.rows().length.toLocaleString("en")}`;
    const button = (text, label, act, off) => make("button", { type: "button", "aria-label": label, onclick: act, disabled: off }, text);
    dialog.replaceChildren(
      make(
        "header",
        {},
        make("h2", { id: "detail-title", tabindex: -1 }, title),
        button("←", "previous sample", () => step(-1), at < 1),
        button("→", "next sample", () => step(1), at < 0 || at + 1 >= gallery.rows().length),
        button("✕", "close", () => dialog.close()),
      ),
      make(
        ".columns",
        {},
        make(".left", {}, ...media(), captions(), markButtons(row)),
        make(".right", {}, facts(), blame(), scores(), ...neighbours()),
      ),
    );
    for (const own of dialog.querySelectorAll("[data-mark]")) own.tabIndex = 0;
    pressMarks(dialog, row);
  };

  const open = (chosen) => {
    row = chosen;
    draw();
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    byId("detail-title").focus();
    charts.point(row);
  };

  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLMediaElement) return;
    const mark = MARKS.find((name) => name[0] === event.key.toLowerCase());
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (mark) marks.toggle(row, mark);
    else return;
    event.preventDefault();
  });
  // A click beside the sheet closes it.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.replaceChildren(); // what plays falls silent
    charts.point(null);
    const at = gallery.rows().indexOf(row);
    gallery.focus(at < 0 ? gallery.active() : at);
    row = null;
  });

  return { open, marked: () => row !== null && pressMarks(dialog, row) };
})();
