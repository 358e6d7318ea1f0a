// Two blocks of one table: differences over the same seeds at each position, the verdict, what could be found, single images.
const named = (name, usual) => {
  const number = data.blocks.indexOf(view.get(name, ""));
  return number >= 0 ? number : usual;
};
const all = [...new Set(data.places.flatMap((p) => p.compared))].sort((a, b) => a - b);

function chosen() {
  const reference = known(data.reference) && all.includes(data.reference) ? data.reference : all[0];
  const b = named("b", reference);
  return { a: named("a", all.find((block) => block !== b)), b };
}

function picker(id, label, value) {
  const box = el("select", { id, onchange: (event) => { view.set({ [id]: event.target.value }); draw(); } });
  for (const block of all) box.append(new Option(data.blocks[block], data.blocks[block], false, block === value));
  return el("label", { class: "field", for: id }, el("span", {}, label), box);
}

const linked = (block) => (data.addresses[data.blocks[block]] ? el("a", { href: data.addresses[data.blocks[block]] }, data.blocks[block]) : data.blocks[block]);
const value = (place, a, b, column) => pairOf(place, a, b, column);

function table(caption, heads, rows, left = []) {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, el("table", {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...heads.map((head, i) => el("th", { scope: "col", class: i && !left.includes(i) ? "number" : null }, head)))),
    el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell, i) => (i ? el("td", { class: left.includes(i) ? null : "number" }, cell) : el("th", { scope: "row" }, cell))))))));
}

function verdictCell(told) {
  if (!told) return NONE;
  return el("span", { class: "verdict " + told.kind }, el("i", { "aria-hidden": "true" }, SIGNS[told.kind]), " " + told.words);
}

function overSeeds(a, b, places) {
  const rows = places.map((place) => {
    const told = verdict(place, a, b, "kindAlone", "neededAlone"), among = verdict(place, a, b);
    const found = value(place, a, b, "detectable"), signs = value(place, a, b, "signs"), n = value(place, a, b, "n");
    return [placeName(place.name), differenceText(told), verdictCell(told), verdictCell(among), String(n), known(found) ? fixed(found / 1000, 2) : NONE,
      known(signs) ? "p = " + signs.toFixed(3) : n < data.enough ? `needs ${data.enough} seeds` : NONE];
  });
  return table(`${data.blocks[a]} less ${data.blocks[b]}, ${data.accuracy}, points`,
    ["position", "difference", "verdict of this pair", "among all pairs", "seeds", "found with 80 %", "sign flips"], rows, [2, 3]);
}

function seedTable(a, b, place) {
  const [first, second] = [a, b].map((block) => place.values[place.compared.indexOf(block)]);
  const rows = place.seeds.map((seed, i) => [seed, first[i], second[i]]).filter((row) => known(row[1]) || known(row[2]))
    .map(([seed, x, y]) => ["seed " + seed, known(x) ? fixed(x, 2) : NONE, known(y) ? fixed(y, 2) : NONE, known(x) && known(y) ? signed(x - y, 2) : NONE]);
  return table(`${placeName(place.name)}: each seed, %`, ["training", data.blocks[a], data.blocks[b], "difference"], rows);
}

function overImages(a, b, places) {
  const turned = (place) => place.compared.indexOf(a) > place.compared.indexOf(b);
  const column = (place, name) => { const own = { ...place, pairs: place.images }; return pairOf(own, a, b, name); };
  const rows = places.filter((place) => place.images && known(column(place, "images"))).map((place) => {
    const [one, other] = turned(place) ? ["second", "first"] : ["first", "second"];
    const images = column(place, "images"), x = column(place, one), y = column(place, other), half = column(place, "both"), both = known(half) ? half / 1000 : null;
    const difference = value(place, a, b, "value") / 1000;
    return [placeName(place.name), x.toLocaleString("en"), y.toLocaleString("en"), fixed(100 * (1 - (x + y) / images), 1) + "\u202f%", images.toLocaleString("en"),
      column(place, "mcnemar").map((p) => p.toPrecision(2)).join(" to "), known(both) ? signed(difference - both, 2) + " to " + signed(difference + both, 2) : NONE];
  });
  if (!rows.length) return el("p", { class: "quiet" }, "What single test images came to is not known of these trainings: a store has it, a CSV table has not.");
  return table("Single test images, in a training on average",
    ["position", "only " + data.blocks[a], "only " + data.blocks[b], "same", "of images", "McNemar, p", "over trainings and images"], rows);
}

function picture(a, b, places) {
  const told = places.map((place) => [place, verdict(place, a, b, "kindAlone", "neededAlone")]).filter(([, t]) => t);
  const reach = Math.max(data.margin * 1.4, ...told.map(([, t]) => Math.abs(t.value) + (t.half || 0))) * 1.08;
  const wide = Math.max(300, Math.min(820, $("answer").clientWidth)), left = wide < 500 ? 104 : 150, step = 30, high = step * told.length + 40;
  const x = (v) => left + ((v + reach) / (2 * reach)) * (wide - left - 12);
  const root = mark("svg", { class: "sketch", viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, role: "img",
    "aria-label": "Differences with 95 % intervals: " + told.map(([p, t]) => placeName(p.name) + " " + differenceText(t)).join(", ") });
  root.append(mark("rect", { class: "band", x: x(-data.margin), width: x(data.margin) - x(-data.margin), y: 4, height: high - 34 }));
  root.append(mark("line", { class: "rule", x1: x(0), x2: x(0), y1: 4, y2: high - 30 }));
  told.forEach(([place, t], row) => {
    const y = 20 + row * step;
    root.append(mark("text", { x: left - 12, y: y + 4, "text-anchor": "end" }, placeName(place.name)));
    if (known(t.half)) root.append(mark("line", { class: "line", x1: x(t.value - t.half), x2: x(t.value + t.half), y1: y, y2: y }));
    root.append(mark("circle", { class: "part", cx: x(t.value), cy: y, r: 4.5 }));
  });
  root.append(mark("text", { x: x(-reach) + 2, y: high - 8 }, "\u2190 " + data.blocks[b].slice(0, 26)));
  root.append(mark("text", { x: wide - 12, y: high - 8, "text-anchor": "end" }, data.blocks[a].slice(0, 26) + " \u2192"));
  return root;
}

const SAID = { b: " is better than ", w: " is worse than ", e: " is equal within half a point to ", u: " is not to be told from " };

function draw() {
  const { a, b } = chosen();
  const kept = document.activeElement && document.activeElement.id;
  const swap = el("button", { type: "button", id: "swap", onclick: () => { view.set({ a: data.blocks[b], b: data.blocks[a] }); draw(); } }, "Swap");
  $("controls").replaceChildren(picker("a", "block", a), picker("b", "compared with", b), swap);
  if (kept && $(kept)) $(kept).focus();
  const places = data.places.filter((place) => place.compared.includes(a) && place.compared.includes(b));
  if (a === b || !places.length) {
    $("answer").replaceChildren(el("p", {}, a === b ? "Choose two blocks." : "These two stand at no position together."));
    return;
  }
  const told = verdict(places[0], a, b, "kindAlone", "neededAlone");
  const sentence = el("p", { class: "lead" }, linked(a), SAID[told.kind], linked(b), ` (${placeName(places[0].name)}: ${differenceText(told)} points).`);
  $("answer").replaceChildren(sentence, picture(a, b, places),
    el("p", { class: "small" }, `Band: the half point that counts as equal. Lines: 95\u202f% intervals of this pair alone, ${data.spread}. Among all pairs: after Holm\u2019s correction.`),
    el("h2", {}, "Over the same seeds"), overSeeds(a, b, places),
    el("p", { class: "small" }, "Found with 80\u202f%: the smallest true difference that so many seeds find in about four of five tables."),
    el("h2", {}, "Over test images"), overImages(a, b, places),
    el("h2", {}, "Each training"), el("div", { class: "facts" }, ...places.map((place) => seedTable(a, b, place))));
  $("spoken").textContent = `${data.blocks[a]} and ${data.blocks[b]}: ${told.words}`;
}
if (all.length > 1) {
  addEventListener("hashchange", () => { view.read(); draw(); });
  draw();
}
