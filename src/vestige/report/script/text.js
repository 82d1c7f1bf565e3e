// Numbers and untrusted strings as a reader may take them; the twin of text.py.
const MISSING = "–";
const HIDDEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu;

const visible = (text) =>
  text.replaceAll("\r\n", "\n").replace(HIDDEN, (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

const cut = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1).trimEnd()}…`);

const number = (value, digits = 3) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const text = Math.abs(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
};

const interval = (low, high) => {
  const texts = [number(low), number(high)];
  return texts.includes(MISSING) ? "" : `${texts[0]} to ${texts[1]}`;
};

const small = (value) => (value === null ? MISSING : value < 0.001 ? "< 0.001" : number(value));

const many = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
