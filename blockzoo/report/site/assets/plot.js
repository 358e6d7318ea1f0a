// Accuracy against cost: marks, intervals, the band that holds the front, and lines that join the positions of a block.
const SHAPES = {
  early: (r) => `M0 ${-r}L${r} ${r}L${-r} ${r}Z`,
  mid: (r) => `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`,
  late: (r) => `M${-r} ${-r}H${r}V${r}H${-r}Z`,
  usual: (r) => `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`,
};

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const made = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) made.push(Number(tick.toPrecision(12)));
  return made;
}

function scale(values, from, to, logarithmic) {
  const f = logarithmic ? Math.log : (v) => v;
  let low = Math.min(...values.map(f)), high = Math.max(...values.map(f));
  const room = (high - low || Math.abs(high) * 0.05 || 1) * 0.06;
  low -= room; high += room;
  const place = (value) => from + ((f(value) - low) / (high - low)) * (to - from);
  place.low = logarithmic ? Math.exp(low) : low;
  place.high = logarithmic ? Math.exp(high) : high;
  return place;
}

function logTicks(low, high) {
  const made = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) {
    for (const m of [1, 2, 5]) { const tick = m * 10 ** p; if (tick >= low && tick <= high) made.push(tick); }
  }
  return made.length > 1 ? made : ticks(low, high, 4);
}

function drawPlot(place, lines, options) {
  // lines: with x, y, span; options: axis, accuracy, band, joins, describe, chosen
  const width = Math.max(300, place.clientWidth), height = width < 560 ? 320 : 400;
  const left = 46, right = 14, top = 12, bottom = 44;
  const spread = lines.map((l) => l.x).filter((x) => x > 0);
  const logarithmic = spread.length === lines.length && Math.max(...spread) > 4 * Math.min(...spread);
  const x = scale(lines.map((l) => l.x), left + 8, width - right - 8, logarithmic);
  const ends = lines.flatMap((l) => (l.span && options.spans ? l.span : [l.y]));
  const y = scale(ends, height - bottom, top, false);
  const root = mark("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": options.label });
  for (const tick of ticks(y.low, y.high, 6)) {
    root.append(mark("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }));
    root.append(mark("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, String(tick)));
  }
  let last = -Infinity;
  for (const tick of logarithmic ? logTicks(x.low, x.high) : ticks(x.low, x.high, width < 560 ? 3 : 6)) {
    if (x(tick) - last < 44 || x(tick) < left || x(tick) > width - right) continue;
    last = x(tick);
    root.append(mark("line", { class: "grid", x1: x(tick), x2: x(tick), y1: top, y2: height - bottom }));
    root.append(mark("text", { x: x(tick), y: height - bottom + 17, "text-anchor": "middle" }, amount(tick)));
  }
  root.append(mark("text", { class: "axis", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, options.axis + (logarithmic ? ", logarithmic" : "")));
  root.append(mark("text", { class: "axis", x: 12, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(top + height - bottom) / 2})` }, options.accuracy + ", %"));
  if (options.band.length > 1) root.append(mark("path", { class: "band", d: bandPath(options.band, x, y, width - right, height - bottom, top) }));
  for (const join of options.joins) root.append(mark("path", { class: "join", "data-block": join.block, d: "M" + join.points.map((p) => `${x(p.x)} ${y(p.y)}`).join("L") }));
  if (options.spans) {
    for (const line of lines) {
      if (line.span) root.append(mark("line", { class: "span", x1: x(line.x), x2: x(line.x), y1: y(line.span[0]), y2: y(line.span[1]) }));
    }
  }
  const points = lines.map((line, number) => drawPoint(line, number, x, y, options));
  root.append(...points);
  labelled(root, lines, x, y, width - right);
  root.addEventListener("keydown", (event) => walk(event, points));
  place.replaceChildren(root);
}

function bandPath(band, x, y, right, bottom, top) {
  // The front at a cost holds from there to the next: steps.
  const inside = (v) => Math.max(top, Math.min(bottom, y(v)));
  const upper = [], lower = [];
  band.forEach(([cost, low, high], i) => {
    const next = i + 1 < band.length ? x(band[i + 1][0]) : right;
    upper.push(`${x(cost)} ${inside(high)}`, `${next} ${inside(high)}`);
    lower.push(`${x(cost)} ${inside(low)}`, `${next} ${inside(low)}`);
  });
  return "M" + [...upper, ...lower.reverse()].join("L") + "Z";
}

function drawPoint(line, number, x, y, options) {
  const shape = SHAPES[line.place] || SHAPES.usual, sure = known(line.front) ? line.front : 0;
  const point = mark("path", {
    class: "point" + (line.isReference ? " reference" : "") + (known(line.front) ? "" : " unknown"),
    d: shape(line.isReference ? 6.5 : 5.5), transform: `translate(${x(line.x)} ${y(line.y)})`, "fill-opacity": 0.12 + 0.88 * sure,
    tabindex: number === 0 ? 0 : -1, role: "img", "aria-label": options.describe(line).map((pair) => pair.join(" ")).join(", "),
    "data-name": line.name, "data-place": line.place,
  });
  const show = (event) => {
    const box = point.getBoundingClientRect();
    const [px, py] = event.clientX ? [event.clientX, event.clientY] : [box.right, box.bottom];
    note.show(options.describe(line), px, py);
    options.point(line);
  };
  const hide = () => { note.hide(); options.point(null); };
  point.addEventListener("pointerenter", show);
  point.addEventListener("pointermove", show);
  point.addEventListener("pointerleave", hide);
  point.addEventListener("focus", show);
  point.addEventListener("blur", hide);
  point.addEventListener("click", () => { location.href = line.address; });
  point.addEventListener("keydown", (event) => { if (event.key === "Enter") location.href = line.address; });
  return point;
}

function labelled(root, lines, x, y, right) {
  // Names of what is likely on the front, and of the reference, where they meet no other name.
  const taken = [];
  const wanted = lines.filter((l) => l.isReference || (known(l.front) && l.front >= 0.5)).sort((a, b) => b.y - a.y).slice(0, 14);
  for (const line of wanted) {
    const name = line.name.length > 24 ? line.name.slice(0, 23) + "\u2026" : line.name, wide = 6.1 * name.length;
    const px = x(line.x), py = y(line.y), spots = [[px + 10, py - 7], [px - 10 - wide, py - 7], [px + 10, py + 15], [px - 10 - wide, py + 15]];
    const spot = spots.find(([sx, sy]) => sx > 46 && sx + wide < right && sy > 14 && !taken.some(([tx, ty, tw]) => sx < tx + tw && tx < sx + wide && Math.abs(ty - sy) < 13));
    if (!spot) continue;
    taken.push([...spot, wide]);
    root.append(mark("text", { class: "label", x: spot[0], y: spot[1] }, name));
  }
}

function walk(event, points) {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const now = points.indexOf(document.activeElement);
  if (!(event.key in steps) || now < 0) return;
  event.preventDefault();
  const next = points[(now + steps[event.key] + points.length) % points.length];
  points[now].setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  next.focus();
}
