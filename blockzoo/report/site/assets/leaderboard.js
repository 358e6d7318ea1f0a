// The leaderboard: which table, position, reference and order is shown stands in the address; all else follows from it.
const FACETS = { dataset: "dataset", protocol: "protocol", track: "track", budget: "budget", design: "design", trained: "trained on" };
const FIRST = 100;
let everything = false;
const spoken = $("spoken");

const choose = (facet) => view.get(facet, "");
const fits = (board, but) => Object.keys(FACETS).every((f) => f === but || !choose(f) || board.facets[f] === choose(f));
const fitting = () => data.boards.filter((board) => fits(board));

function current() {
  const there = fitting(), asked = view.get("table", null);
  const strayed = known(asked) && !data.boards.some((b) => b.key === asked);
  const board = strayed ? null : there.find((b) => b.key === asked) || there[0] || null;
  if (!board) return { board, strayed };
  const names = board.places.map((p) => p.name);
  const wanted = view.get("position", names[0]);
  const place = wanted === "all" && names.length > 1 ? "all" : names.includes(wanted) ? wanted : names[0];
  const places = board.places.filter((p) => (place === "all" ? p.name !== "mean" : p.name === place));
  const named = board.blocks.indexOf(view.get("reference", ""));
  const usual = known(board.reference) ? board.reference : places[0].compared.length ? places[0].block[0] : null;
  const reference = named >= 0 ? named : usual;
  const ways = board.ways.map((way, number) => [...way, number]);
  const way = ways.find((w) => (!choose("device") || w[0] === choose("device")) && (!choose("runtime") || w[1] === choose("runtime")));
  const choice = { reference, way: way ? way[2] : null };
  for (const p of places) p.against = reference;
  return { board, place, places, choice, reference, ways, cost: view.get("cost", null) };
}

function columnsOf(now) {
  const { board, place, places, cost } = now;
  const lines = now.lines, has = (f) => lines.some(f);
  const made = [];
  const add = (key, label, value, text, more) => made.push({ key, label, value, text, number: true, ...more });
  add("rank", "rank", (l) => (l.rank ? l.rank[0] + 1e6 * places.findIndex((p) => p.name === l.place) : null), (l) => rankText(l.rank), { title: "by the mean; in brackets the ranks it can have" });
  add("block", "block", (l) => l.name.toLowerCase(), null, { number: false, head: true });
  if (place === "all") add("place", "position", (l) => places.findIndex((p) => p.name === l.place), (l) => placeName(l.place), { number: false });
  add("accuracy", board.accuracy + ", %", (l) => l.mean, spanText);
  add("interval", "", null, null, { bar: true });
  if (known(now.reference) && has((l) => l.against)) {
    add("difference", "less " + board.blocks[now.reference], (l) => (l.against ? l.against.value : null), (l) => differenceText(l.against), { long: true });
    add("verdict", "verdict", (l) => (l.against ? "weub".indexOf(l.against.kind) : null), null, { number: false, verdict: true });
  }
  add("n", "n", (l) => l.n, (l) => l.n + (l.lost ? " (" + l.lost + ")" : ""), { title: "seeds" });
  if (has((l) => l.tier)) add("tier", "tier", (l) => l.tier, (l) => l.tier || "own", { number: false, title: "trainings that others handed in: reported; reproduced, where a rerun agreed" });
  for (const [name, axis] of Object.entries(data.axes)) {
    if (has((l) => known(l.costs[name]))) add(name, axis.short, (l) => l.costs[name], (l) => (name === "latency_ms" ? timeText(l.time) : amount(l.costs[name])));
  }
  if (cost && has((l) => known(l.fronts[cost]))) add("front", "on the front", (l) => l.fronts[cost], (l) => share(l.fronts[cost]), { title: "of accuracy against " + data.axes[cost].label });
  if (has((l) => known(l.off))) add("off", "of its budget", (l) => l.off, (l) => (known(l.off) ? l.off + "\u00d7" : ""), { title: "what its stage costs, where it misses its budget" });
  return made;
}

function sorted(lines, columns) {
  const wanted = view.get("sort", "rank"), falls = wanted.startsWith("-"), key = wanted.replace("-", "");
  const column = columns.find((c) => c.key === key && c.value) || columns[0];
  const order = falls ? -1 : 1;
  const keyed = lines.map((line, number) => [column.value(line), line, number]);
  keyed.sort(([a, , i], [b, , j]) => {
    if (!known(a) || !known(b)) return known(a) ? -1 : known(b) ? 1 : i - j;
    return (a < b ? -order : a > b ? order : 0) || i - j;
  });
  return [keyed.map((k) => k[1]), column.key, falls];
}

// --- the controls ------------------------------------------------------------------------------------
function select(name, label, options, value, usual) {
  const box = el("select", { id: "by-" + name, onchange: (event) => change({ [name]: event.target.value }) });
  for (const [key, words] of options) box.append(new Option(words, key, false, key === value));
  return el("label", { class: "field", for: "by-" + name }, el("span", {}, label), box);
}

function shortened(boards) {
  // Titles without the words with which all of them begin: a narrow list would show nothing else.
  const words = boards.map((b) => b.title.split(", "));
  let same = 0;
  while (words.length > 1 && words.every((w) => w.length > same + 1 && w[same] === words[0][same])) same++;
  return boards.map((b, i) => [b.key, (same ? "\u2026 " : "") + words[i].slice(same).join(", ")]);
}

function drawControls(now) {
  const made = [];
  for (const [facet, label] of Object.entries(FACETS)) {
    const values = [...new Set(data.boards.map((b) => b.facets[facet]))].sort();
    if (values.length > 1) made.push(select(facet, label, [["", "any"], ...values.map((v) => [v, v])], choose(facet)));
  }
  const there = fitting();
  if (data.boards.length > 1 && now.board) made.push(select("table", `table (${there.length} of ${data.boards.length})`, shortened(there), now.board.key));
  if (now.board) {
    const { board, ways } = now;
    if (board.places.length > 1) {
      const places = [...board.places.map((p) => [p.name, placeName(p.name)]), ["all", "each position"]];
      made.push(select("position", "position", places, now.place));
    }
    const devices = [...new Set(ways.map((w) => w[0]))], runtimes = [...new Set(ways.filter((w) => !choose("device") || w[0] === choose("device")).map((w) => w[1]))];
    if (devices.length > 1) made.push(select("device", "timed on", devices.map((d) => [d, d]), now.choice.way === null ? "" : ways[now.choice.way][0]));
    if (runtimes.length > 1) made.push(select("runtime", "timed as", runtimes.map((r) => [r, r]), now.choice.way === null ? "" : ways[now.choice.way][1]));
    const compared = [...new Set(now.places.flatMap((p) => p.compared))];
    if (compared.length > 1) made.push(select("reference", "compared with", compared.map((b) => [board.blocks[b], board.blocks[b]]), board.blocks[now.reference]));
  }
  const kept = document.activeElement && document.activeElement.id;
  $("controls").replaceChildren(...made);
  if (kept && $(kept)) $(kept).focus();
}

// --- the table ---------------------------------------------------------------------------------------
function drawTable(now) {
  const columns = now.columns, [lines, key, falls] = sorted(now.shown, columns);
  const head = el("tr", {}, ...columns.map((column) => {
    const order = column.key === key ? (falls ? "descending" : "ascending") : null;
    const kind = { scope: "col", class: column.number ? "number" : null, "aria-sort": order, "data-key": column.key, title: column.title };
    if (!column.value) return el("td", { class: "bar" });
    return el("th", kind, el("button", { type: "button", onclick: () => sortBy(column, order) }, column.label, el("i", { "aria-hidden": "true" }, order ? (falls ? "\u2193" : "\u2191") : "")));
  }));
  const ends = now.lines.flatMap((l) => l.together || l.alone || (known(l.mean) ? [l.mean] : []));
  const low = Math.min(...ends), high = Math.max(...ends);
  const many = everything ? lines.length : Math.min(FIRST, lines.length);
  const body = el("tbody", {}, ...lines.slice(0, many).map((line) => row(line, columns, now, low, high)));
  $("caption").textContent = now.board.title;
  $("table").replaceChildren(el("thead", {}, head), body);
  $("more").hidden = many >= lines.length;
  $("more").textContent = `Show all ${lines.length.toLocaleString("en")} lines`;
  $("none").hidden = lines.length > 0;
  spoken.textContent = `${lines.length} lines, by ${columns.find((c) => c.key === key).label}`;
}

function row(line, columns, now, low, high) {
  const cells = columns.map((column) => {
    if (column.head) {
      return el("th", { scope: "row", class: line.name.length > 36 ? "long" : null }, el("a", { href: line.address }, line.name));
    }
    if (column.bar) return el("td", { class: "bar" }, intervalBar(line, low, high));
    if (column.verdict) {
      if (line.block === now.reference) return el("td", { class: "quiet" }, "the reference");
      if (!line.against) return el("td", {}, NONE);
      return el("td", { class: "verdict " + line.against.kind }, el("i", { "aria-hidden": "true" }, SIGNS[line.against.kind]), " " + line.against.words);
    }
    return el("td", { class: column.number ? "number" : null }, column.text(line));
  });
  const made = el("tr", { "data-block": line.name, "data-place": line.place, class: line.block === now.reference ? "reference" : null }, ...cells);
  return made;
}

function intervalBar(line, low, high) {
  if (!known(line.mean)) return null;
  const wide = 120, x = (value) => (4 + ((value - low) / (high - low || 1)) * (wide - 8)).toFixed(1);
  const ends = line.together || line.alone, made = mark("svg", { width: wide, height: 14, viewBox: `0 0 ${wide} 14`, "aria-hidden": "true" });
  if (ends) made.append(mark("line", { x1: x(Math.max(low, ends[0])), x2: x(ends[1]), y1: 7, y2: 7 }));
  made.append(mark("circle", { cx: x(line.mean), cy: 7, r: 3 }));
  return made;
}

function sortBy(column, order) {
  const up = column.number && column.key !== "rank" ? "-" + column.key : column.key, down = up.startsWith("-") ? column.key : "-" + column.key;
  const now = view.get("sort", "rank");
  change({ sort: order && now === up ? down : up });
  const again = document.querySelector(`th[data-key="${column.key}"] button`);
  if (again) again.focus();
}

// --- the picture -------------------------------------------------------------------------------------
function drawPicture(now) {
  const costs = Object.keys(data.axes).filter((name) => now.lines.some((l) => known(l.costs[name])));
  $("picture").hidden = costs.length === 0;
  if (!costs.length) return;
  const cost = costs.includes(now.cost) ? now.cost : costs[0];
  const options = [select("cost", "cost", costs.map((c) => [c, data.axes[c].label]), cost)];
  const several = now.board.places.filter((p) => p.name !== "mean").length > 1;
  const tick = (name, label, usual) => el("label", { class: "tick" }, el("input", { type: "checkbox", id: "by-" + name, checked: view.get(name, usual) === "1", onchange: (e) => change({ [name]: e.target.checked ? "1" : "0" }) }), label);
  options.push(tick("spans", "intervals", "1"));
  if (several) options.push(tick("join", "join the positions of a block", "0"));
  const kept = document.activeElement && document.activeElement.id;
  $("of-picture").replaceChildren(...options);
  if (kept && $(kept)) $(kept).focus();
  const points = now.shown.filter((l) => known(l.mean) && known(l.costs[cost])).map((line) => toPoint(line, cost, now)).sort((a, b) => a.x - b.x);
  if (!points.length) { $("plot").replaceChildren(el("p", { class: "quiet" }, "Nothing to draw of these lines.")); return; }
  const single = now.places.length === 1 ? now.places[0] : null;
  const band = single ? (cost === "latency_ms" ? single.times[now.choice.way].band : single.band[cost]) || [] : [];
  drawPlot($("plot"), points, {
    label: `${now.board.accuracy} against ${data.axes[cost].label}, ${points.length} points; the table below has the same figures`,
    axis: data.axes[cost].label, accuracy: now.board.accuracy, band, spans: view.get("spans", "1") === "1",
    joins: view.get("join", "0") === "1" ? joinsOf(points, cost, now) : [],
    describe: (point) => figures(point.line, now.board, now.places.find((p) => p.name === point.place)),
    point: (point) => highlight(point),
  });
  $("legend").textContent = (band.length > 1 ? "Band: holds the front, the best true accuracy of what costs no more, in 95\u202f% of tables. " : "")
    + (points.some((p) => known(p.front)) ? "Fill: the probability of being on the front. " : "Hollow: how sure the front is, is not known. ")
    + (now.places.length > 1 ? "\u25b2 early, \u25cf mid, \u25a0 late. " : "") + "Arrow keys go from point to point.";
}

function toPoint(line, cost, now) {
  return { line, x: line.costs[cost], y: line.mean, span: line.together || line.alone, front: line.fronts[cost], name: line.name, place: line.place, address: line.address, isReference: line.block === now.reference };
}

function joinsOf(points, cost, now) {
  const places = now.board.places.filter((p) => p.name !== "mean");
  const others = places.flatMap((p) => linesOf(now.board, p, now.choice));
  return [...new Set(points.map((p) => p.line.block))].map((block) => ({
    block: now.board.blocks[block],
    points: others.filter((l) => l.block === block && known(l.mean) && known(l.costs[cost])).map((l) => ({ x: l.costs[cost], y: l.mean })),
  })).filter((join) => join.points.length > 1);
}

function highlight(point) {
  for (const line of document.querySelectorAll("tr.pointed, .join.pointed")) line.classList.remove("pointed");
  if (!point) return;
  for (const line of document.querySelectorAll("#table tbody tr, .join")) {
    if (line.dataset.block === point.name && (!line.dataset.place || line.dataset.place === point.place)) line.classList.add("pointed");
  }
}

// --- all of it ---------------------------------------------------------------------------------------
function change(changes) { view.set(changes); draw(); }

function draw() {
  const now = current();
  drawControls(now);
  $("shown").hidden = !now.board;
  $("strayed").hidden = !now.strayed;
  $("none").hidden = Boolean(now.board || now.strayed);
  if (!now.board) { spoken.textContent = now.strayed ? "this table is not on this page" : "no table fits"; return; }
  now.lines = now.places.flatMap((p) => linesOf(now.board, p, now.choice));
  for (const line of now.lines) line.address = data.addresses[line.name] || "#";
  const words = view.get("find", "").toLowerCase().split(/\s+/).filter(Boolean);
  now.shown = now.lines.filter((line) => words.every((word) => (line.name + " " + line.place).toLowerCase().includes(word)));
  const costs = Object.keys(data.axes).filter((name) => now.lines.some((l) => known(l.costs[name])));
  const usual = (now.board.facets.track === "native" ? ["flops"] : ["latency_ms", "params_total"]).find((name) => costs.includes(name));
  now.cost = costs.includes(now.cost) ? now.cost : usual || costs[0];
  now.columns = columnsOf(now);
  $("told").textContent = told(now);
  $("compare").href = "compare-" + now.board.key + ".html";
  $("compare").hidden = !now.board.places.some((p) => p.pairs);
  drawPicture(now);
  drawTable(now);
}

function told(now) {
  const { board, places } = now, intervals = now.lines.some((l) => l.together);
  const parts = board.left_out ? [board.left_out + "."] : [];
  parts.push(intervals
    ? "\u00b1: intervals that hold all means of a position together in 95\u202f% of tables, " + board.spread + "."
    : "\u00b1: 95\u202f% of each block\u2019s own seeds, where there are three; the table does not say how much trainings vary.");
  if (places.some((p) => p.pairs)) {
    parts.push("Ranks in brackets are those a block can have. Verdicts are over all pairs" + (now.place === "mean" ? " of means" : " at all positions") + ", after Holm\u2019s correction; the \u00b1 of a difference is at the level at which its pair was judged.");
  } else if (now.lines.length > 1) parts.push("No verdicts: there are too few seeds, or more than " + data.most + " blocks.");
  if (now.choice.way !== null) parts.push("Times: " + board.ways[now.choice.way].join(", ") + "; ~ without an interval, ? doubtful.");
  return parts.join(" ");
}

if (data.boards.length) {
  $("find").value = view.get("find", "");
  $("find").addEventListener("input", () => change({ find: $("find").value }));
  $("more").addEventListener("click", () => { everything = true; draw(); });
  addEventListener("hashchange", () => { view.read(); $("find").value = view.get("find", ""); draw(); });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
  addEventListener("beforeprint", () => { $("note") && note.hide(); });
  draw();
}
