// A sample as a card: what it is, how it scored, and what the reader thinks of it.

// Alignments of all cards on one scale, so that their lines can be compared.
const track = (() => {
  const known = [...data.align_in, ...data.align_out].filter((value) => value !== null);
  const low = known.reduce((a, b) => Math.min(a, b), Infinity);
  const high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  return (value) => `${high > low ? 3 + (94 * (value - low)) / (high - low) : 50}%`;
})();

// From the alignment of models that did not see the sample (hollow) to that of those that did (full).
const dumbbell = (row) => {
  const [unseen, seen] = [data.align_out[row], data.align_in[row]];
  const line = (name, a, b) => make(`line.${name}`, { x1: a, x2: b, y1: 6, y2: 6 });
  return make(
    "svg.dumbbell",
    { width: "100%", height: 12, "aria-hidden": "true", focusable: "false" },
    line("rail", "0", "100%"),
    unseen === null || seen === null ? null : line("span", track(unseen), track(seen)),
    unseen === null ? null : make("circle.unseen", { cx: track(unseen), cy: 6, r: 3.5 }),
    seen === null ? null : make("circle.seen", { cx: track(seen), cy: 6, r: 4 }),
  );
};

const clock = (seconds) =>
  seconds < 60 ? `${number(seconds, 1)} s` : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

const lengthOf = (medium) => (medium.seconds ? clock(medium.seconds) : "");

// A still of a picture or film, or why there is none.
const still = (row, alt) => {
  const seen = mediaOf(row).filter((medium) => medium.of !== "audio");
  const medium = seen.find((own) => own.src) ?? seen[0];
  if (medium?.src) return make("img", { src: medium.src, width: medium.w, height: medium.h, alt, decoding: "async" });
  const reason = medium ? medium.note : row < data.pictured ? "no picture" : "not on this page";
  return make("span.none", {}, visible(reason));
};

const player = (medium, label) =>
  make(medium.of === "video" ? "video" : "audio", {
    src: medium.clip,
    controls: true,
    preload: "metadata",
    poster: medium.of === "video" ? medium.src : null,
    "aria-label": label,
  });

const errorText = (row) => {
  const [score, error] = [scoreOf(row), errorOf(row)];
  return score === null || error === null ? "" : interval(score - error, score + error);
};

const markButtons = (row) =>
  make(
    ".marks",
    { role: "group", "aria-label": "Your mark" },
    ...MARKS.map((mark) =>
      make(
        `button.${mark}`,
        {
          type: "button",
          tabindex: -1,
          "data-mark": mark,
          "aria-pressed": String(marks.of(row) === mark),
          onclick: (event) => {
            event.stopPropagation();
            marks.toggle(row, mark);
          },
        },
        mark,
      ),
    ),
  );

const pressMarks = (element, row) => {
  for (const button of element.querySelectorAll("[data-mark]"))
    button.setAttribute("aria-pressed", String(marks.of(row) === button.dataset.mark));
  if (marks.of(row)) element.dataset.marked = marks.of(row);
  else delete element.dataset.marked;
};

const KINDS = data.kinds;

const card = (row, place, total) => {
  const caption = captionOf(row);
  const media = mediaOf(row);
  const sound = media.find((medium) => medium.of === "audio");
  const film = media.find((medium) => medium.of === "video" && medium.src);
  const blame = data.blame?.[row];
  const element = make(
    `li.card.${roleOf(row)}${data.planted[row] ? ".wrong" : ""}`,
    { tabindex: -1, "data-row": row, "aria-posinset": place + 1, "aria-setsize": total },
    KINDS.some((kind) => kind !== "audio") || !KINDS.length
      ? make(
          ".picture",
          {},
          still(row, caption || "no caption"),
          film ? make("span.length", {}, film.clip ? `▶ ${lengthOf(film)}` : lengthOf(film)) : null,
        )
      : null,
    make(
      ".badges",
      {},
      make("span.rank", {}, (place + 1).toLocaleString("en")),
      data.planted[row] ? make("span.badge", {}, "planted") : null,
      state.role === "all" ? make(`span.of.${roleOf(row)}`, {}, roleOf(row)) : null,
    ),
    KINDS.includes("audio")
      ? make(".sound", {}, sound?.clip ? player(sound, `sound of ${caption || data.key[row]}`) : make("span.none", {}, visible(sound?.note ?? "no sound")))
      : null,
    make("p.caption", { dir: "auto", title: caption }, caption || make("span.none", {}, "no caption")),
    make(
      "p.score",
      {},
      make("b", {}, number(scoreOf(row))),
      make("small", {}, errorText(row)),
    ),
    dumbbell(row),
    make(
      "dl",
      {},
      make("div", {}, make("dt", {}, "unseen"), make("dd", {}, number(data.align_out[row]))),
      make("div", {}, make("dt", {}, "seen"), make("dd", {}, number(data.align_in[row]))),
    ),
    data.pairs.length ? make("p.blame", {}, blame ? `to blame: ${blame[0]}` : "") : null,
    make(
      "p.line",
      {},
      make("bdi.key", { title: cut(visible(data.key[row]), 300) }, cut(visible(data.key[row]), 80)),
      data.q_value[row] === null ? null : make("span.q", {}, `q ${small(data.q_value[row])}`),
    ),
    markButtons(row),
  );
  pressMarks(element, row);
  return element;
};
