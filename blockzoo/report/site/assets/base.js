// What every page uses. Names come in as text and leave as text: nothing here makes markup of a string.
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
const el = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);
const mark = (name, attributes, ...children) => filled(document.createElementNS(SVG, name), attributes, children);

const data = $("data") ? JSON.parse($("data").textContent) : null;
const MINUS = "\u2212", NONE = "\u2013";
const at = (column, place) => (Array.isArray(column) ? column[place] : column);
const fixed = (value, digits) => value.toFixed(digits).replace("-", MINUS);
const signed = (value, digits) => (value >= 0 ? "+" : "") + fixed(value, digits);
const known = (value) => value !== null && value !== undefined;

function amount(value) {
  if (!known(value)) return NONE;
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (value >= size) return String(Number((value / size).toPrecision(3))) + "\u202f" + unit;
  }
  return String(Number(value.toPrecision(3)));
}
const share = (p) => (!known(p) ? NONE : p > 0 && p < 0.01 ? "<1\u202f%" : p < 1 && p > 0.99 ? ">99\u202f%" : Math.round(100 * p) + "\u202f%");

// --- the view, kept in the address -------------------------------------------------------------------
const view = {
  values: {},
  read() {
    this.values = {};
    for (const part of location.hash.slice(1).split("&")) {
      const [name, ...rest] = part.split("=");
      try { if (name) this.values[decodeURIComponent(name)] = decodeURIComponent(rest.join("=")); } catch { /* not ours */ }
    }
  },
  get(name, usual) { return name in this.values ? this.values[name] : usual; },
  set(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === undefined || value === "") delete this.values[name];
      else this.values[name] = String(value);
    }
    const parts = Object.entries(this.values).map(([name, value]) => encodeURIComponent(name) + "=" + encodeURIComponent(value));
    history.replaceState(null, "", parts.length ? "#" + parts.join("&") : location.pathname + location.search);
  },
};
view.read();

// --- light and dark ----------------------------------------------------------------------------------
const theme = {
  button: $("theme"),
  kept(value) {
    try {
      if (value === undefined) return localStorage.getItem("theme");
      localStorage.setItem("theme", value);
    } catch { /* a page of a file may have no storage */ }
    return null;
  },
  isDark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  },
  show() { this.button.textContent = this.isDark() ? "Light" : "Dark"; this.button.hidden = false; },
};
if (["light", "dark"].includes(theme.kept())) document.documentElement.dataset.theme = theme.kept();
theme.button.addEventListener("click", () => {
  document.documentElement.dataset.theme = theme.isDark() ? "light" : "dark";
  theme.kept(document.documentElement.dataset.theme);
  theme.show();
});
theme.show();

// --- a note beside what is pointed at or focused -----------------------------------------------------
const note = {
  box: null,
  show(lines, x, y) {
    if (!this.box) document.body.append(this.box = el("div", { class: "note", role: "tooltip", id: "note" }));
    this.box.replaceChildren(...lines.map(([name, value]) => el("div", {}, el("span", {}, name), el("b", {}, value))));
    this.box.hidden = false;
    const { width, height } = this.box.getBoundingClientRect();
    this.box.style.left = Math.max(4, Math.min(x + 14, innerWidth - width - 8)) + scrollX + "px";
    this.box.style.top = (y + 14 + height > innerHeight ? Math.max(4, y - height - 14) : y + 14) + scrollY + "px";
  },
  hide() { if (this.box) this.box.hidden = true; },
};
addEventListener("keydown", (event) => { if (event.key === "Escape") note.hide(); });
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const text = $(button.dataset.copy).textContent;
    const said = (words) => { button.textContent = words; };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => said("Copied"), () => said("Select and copy"));
    else { getSelection().selectAllChildren($(button.dataset.copy)); said("Selected"); }
  });
}
