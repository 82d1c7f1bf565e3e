// The samples as columns, and their media, which are parsed when one of a piece is looked at.
const data = JSON.parse(byId("data").textContent);
const rowsListed = Array.from({ length: data.listed }, (_, row) => row);

const pieces = new Map();
const mediaOf = (row) => {
  if (row >= data.pictured) return [];
  const piece = Math.floor(row / data.piece);
  if (!pieces.has(piece)) {
    const element = byId(`media-${piece}`);
    pieces.set(piece, element ? JSON.parse(element.textContent) : []);
  }
  return pieces.get(piece)[row % data.piece] ?? [];
};

const roleOf = (row) => data.roles[data.role[row]];
const captionOf = (row) => visible(data.captions[row][0] ?? "");
const groupOf = (row) => data.group[row] ?? data.key[row];

// What is searched: lower case, made once.
const haystacks = [];
const haystack = (row) =>
  (haystacks[row] ??= [...data.captions[row], data.key[row], data.group[row] ?? ""].join("\n").toLowerCase());
