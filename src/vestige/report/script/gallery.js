// The cards, of which only those near the screen exist; each has its place, all have one height.
const gallery = (() => {
  const GAP = 12;
  const SPARE = 2; // rows of cards kept above and below the screen
  const PAPER = 48; // cards on paper
  const list = byId("cards");
  const live = new Map(); // card by its place
  let rows = [];
  let [columns, width, height] = [1, 0, 0];
  let active = 0;
  let paper = false;
  let waiting = false;

  const measure = () => {
    const least = list.clientWidth < 480 ? 150 : 172;
    columns = Math.max(Math.floor((list.clientWidth + GAP) / (least + GAP)), list.clientWidth < 300 ? 1 : 2);
    width = (list.clientWidth - GAP * (columns - 1)) / columns;
    if (!rows.length) return;
    // Parts of a card have fixed heights, so one card speaks for all.
    const probe = card(rows[0], 0, rows.length);
    probe.style.width = `${width}px`;
    list.append(probe);
    height = probe.offsetHeight + GAP;
    probe.remove();
  };

  const position = (element, place) => {
    element.style.width = `${width}px`;
    element.style.transform = `translate(${(place % columns) * (width + GAP)}px, ${Math.floor(place / columns) * height}px)`;
  };

  const put = (place) => {
    if (live.has(place)) return;
    const element = card(rows[place], place, rows.length);
    position(element, place);
    element.tabIndex = place === active ? 0 : -1;
    // In the order of their places, for those who go through them one by one.
    const after = [...live.keys()].filter((other) => other > place).reduce((a, b) => Math.min(a, b), Infinity);
    list.insertBefore(element, live.get(after) ?? null);
    live.set(place, element);
  };

  const draw = () => {
    waiting = false;
    if (paper || !rows.length) return;
    const top = -list.getBoundingClientRect().top;
    const first = Math.max((Math.floor(top / height) - SPARE) * columns, 0);
    const last = Math.min((Math.ceil((top + innerHeight) / height) + SPARE) * columns, rows.length);
    for (const [place, element] of live) {
      const playing = [...element.querySelectorAll("audio")].some((sound) => !sound.paused);
      const used = playing || place === active || element.contains(document.activeElement);
      if ((place < first || place >= last) && !used) {
        element.remove();
        live.delete(place);
      }
    }
    for (let place = first; place < last; place += 1) put(place);
    put(active); // the way into the gallery for the keyboard, wherever the screen is
  };
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(draw);
  };

  const clear = () => {
    for (const element of live.values()) element.remove();
    live.clear();
  };

  const lay = () => {
    clear();
    measure();
    list.style.height = rows.length ? `${Math.ceil(rows.length / columns) * height - GAP}px` : "";
    draw();
  };

  const show = (chosen) => {
    rows = chosen;
    active = 0;
    lay();
  };

  const reveal = (place) => {
    const top = list.getBoundingClientRect().top + Math.floor(place / columns) * height;
    const covered = byId("tools").offsetHeight;
    if (top < covered) scrollBy(0, top - covered - GAP);
    else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight + GAP);
    draw();
  };

  const focus = (place) => {
    if (!rows.length) return;
    const before = live.get(active);
    if (before) before.tabIndex = -1;
    active = Math.min(Math.max(place, 0), rows.length - 1);
    reveal(active);
    put(active);
    const element = live.get(active);
    element.tabIndex = 0;
    element.focus({ preventScroll: true });
  };

  const place = (element) => Number(element.getAttribute("aria-posinset")) - 1;
  const page = () => Math.max(Math.floor(innerHeight / height) - 1, 1) * columns;
  const KEYS = {
    ArrowRight: () => 1,
    ArrowLeft: () => -1,
    ArrowDown: () => columns,
    ArrowUp: () => -columns,
    PageDown: page,
    PageUp: () => -page(),
    Home: () => -rows.length,
    End: () => rows.length,
  };

  list.addEventListener("keydown", (event) => {
    const element = event.target.closest(".card");
    if (!element || event.ctrlKey || event.metaKey || event.altKey) return;
    // A player has keys of its own.
    if (event.target instanceof HTMLMediaElement) return;
    const row = Number(element.dataset.row);
    const mark = MARKS.find((name) => name[0] === event.key.toLowerCase());
    if (event.key in KEYS) focus(place(element) + KEYS[event.key]());
    else if (mark) marks.toggle(row, mark);
    else if (event.target !== element) return;
    else if (event.key === "Enter") detail.open(row);
    else if (event.key === " " && element.querySelector("audio")) {
      const sound = element.querySelector("audio");
      if (sound.paused) sound.play();
      else sound.pause();
    } else return;
    event.preventDefault();
  });
  list.addEventListener("focusin", (event) => {
    const element = event.target.closest(".card");
    if (!element) return;
    for (const other of live.values()) other.tabIndex = other === element ? 0 : -1;
    active = place(element);
  });
  list.addEventListener("click", (event) => {
    const element = event.target.closest(".card");
    if (!element || event.target.closest("audio, video, button")) return;
    if (String(getSelection())) return; // text is being selected
    active = place(element);
    detail.open(Number(element.dataset.row));
  });
  // One sound at a time.
  document.addEventListener(
    "play",
    (event) => {
      for (const other of document.querySelectorAll("audio, video")) if (other !== event.target) other.pause();
    },
    true,
  );

  addEventListener("scroll", later, { passive: true });
  new ResizeObserver(() => {
    if (!paper && Math.abs(list.clientWidth - (columns * (width + GAP) - GAP)) > 1) lay();
  }).observe(list);

  // On paper cards stand in rows of their own, the first of what was chosen.
  addEventListener("beforeprint", () => {
    paper = true;
    clear();
    list.classList.add("paper");
    list.style.height = "";
    rows.slice(0, PAPER).forEach((row, at) => list.append(card(row, at, rows.length)));
  });
  addEventListener("afterprint", () => {
    paper = false;
    list.replaceChildren();
    list.classList.remove("paper");
    lay();
  });

  return {
    show,
    focus,
    rows: () => rows,
    active: () => active,
    marked: () => live.forEach((element) => pressMarks(element, Number(element.dataset.row))),
    redraw: lay,
  };
})();
