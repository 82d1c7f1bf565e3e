"use strict";
// The page is whole without this script, but for its charts.
(() => {
  const data = document.getElementById("chart-data");
  if (!data) return;
  const specifications = JSON.parse(data.textContent);
  for (const place of document.querySelectorAll(".chart")) {
    vegaEmbed(place, specifications[Number(place.dataset.chart)], {
      mode: "vega-lite",
      renderer: "svg", // styled by the page, sharp on paper
      actions: false,
      ast: true, // expressions are interpreted: the page's policy forbids eval
      defaultStyle: false,
      tooltip: { theme: "page", disableDefaultStyle: true },
    }).catch((error) => {
      place.textContent = `The chart could not be drawn: ${error.message}`;
    });
  }
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
