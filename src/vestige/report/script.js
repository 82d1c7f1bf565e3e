"use strict";
// The page is whole without this script, but for the histogram.
(() => {
  const chart = document.getElementById("chart");
  const legend = document.getElementById("legend");

  const draw = async () => {
    const specification = JSON.parse(document.getElementById("chart-data").textContent);
    const { view } = await vegaEmbed(chart, specification, {
      mode: "vega-lite",
      renderer: "svg", // styled by the page, sharp on paper
      actions: false,
      ast: true, // expressions are interpreted: the page's policy forbids eval
      defaultStyle: false,
      tooltip: { theme: "page", disableDefaultStyle: true },
    });
    const outlines = view.data("outlines").map(({ series, run, score, share }) => ({ series, run, score, share }));

    // A series switched off leaves the chart, and the vertical scale fits what stays.
    legend.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "false");
      const off = [...legend.querySelectorAll('[aria-pressed="false"]')].map((other) => other.dataset.series);
      view.data("outlines", outlines.filter((row) => !off.includes(row.series))).runAsync();
    });
  };

  if (chart) {
    draw().catch((error) => {
      chart.textContent = `The histogram could not be drawn: ${error.message}`;
    });
  }

  // On paper, and behind a link, nothing stays folded.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
  const unfold = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
})();
