// Elements made of names, properties and text; nothing is ever parsed as markup.
const byId = (id) => document.getElementById(id);

const SVG = new Set(["svg", "line", "circle"]);

const make = (tag, attributes = {}, ...children) => {
  const [name, ...classes] = tag.split(".");
  const element = SVG.has(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name || "div");
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
};

const options = (select, named, chosen) => {
  select.replaceChildren(...named.map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
};
