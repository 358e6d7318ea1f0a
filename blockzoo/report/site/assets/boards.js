// One comparable table at a position as lines: what the columns of the data say of each block.
const WORDS = { b: "better", w: "worse", e: "equal", u: "unresolved" };
const SIGNS = { b: "\u25b2", w: "\u25bc", e: "=", u: "?" };
const PLACES = { mean: "mean of positions", "": "whole network" };
const placeName = (name) => (name in PLACES ? PLACES[name] : name);

function pairOf(place, one, other, column) {
  // What a column of pairs says of one block less another; kinds and signs turn with their order.
  const first = place.compared.indexOf(one), second = place.compared.indexOf(other), n = place.compared.length;
  if (!place.pairs || first < 0 || second < 0 || first === second) return null;
  const [i, j] = first < second ? [first, second] : [second, first];
  const number = (i * (2 * n - i - 1)) / 2 + (j - i - 1), turned = first > second;
  const value = typeof place.pairs[column] === "string" ? place.pairs[column][number] : at(place.pairs[column], number);
  if (!turned || value === null) return value;
  if (column === "value") return -value;
  return column.startsWith("kind") ? { b: "w", w: "b" }[value] || value : value;
}

function verdict(place, one, other, kinds = "kind", needed = "needed") {
  const kind = pairOf(place, one, other, kinds);
  if (kind === null) return null;
  const seeds = kind === "u" ? pairOf(place, one, other, needed) : null;
  const half = pairOf(place, one, other, kinds === "kind" ? "half" : "alone");
  return {
    kind,
    words: WORDS[kind] + (kind === "e" ? " within 0.5" : known(seeds) ? ": needs " + (seeds > 1000 ? "over 1000" : seeds) + " seeds" : ""),
    value: pairOf(place, one, other, "value") / 1000,
    half: known(half) ? half / 1000 : null,
  };
}

function linesOf(board, place, choice) {
  const times = known(choice.way) && place.times[choice.way] ? place.times[choice.way] : null;
  return place.block.map((block, row) => {
    const line = {
      block, row, place: place.name, name: board.blocks[block],
      rank: place.rank[row], mean: place.mean[row], together: place.together[row], alone: place.alone[row],
      best: place.best[row], n: at(place.n, row), lost: at(place.lost, row), tier: at(place.tier, row), off: at(place.off, row), lr: at(place.lr, row),
      time: times ? times.whole[row] : null, stage: times ? times.stage[row] : null, costs: {}, fronts: {},
      against: known(choice.reference) ? verdict(place, block, choice.reference) : null,
    };
    for (const name in place.costs) {
      line.costs[name] = at(place.costs[name], row);
      line.fronts[name] = at(place.front[name], row);
    }
    if (times) {
      line.costs.latency_ms = line.time ? line.time[0] : null;
      line.fronts.latency_ms = at(times.front, row);
    }
    return line;
  });
}

function spanText(line) {
  if (!known(line.mean)) return NONE;
  const ends = line.together || line.alone;
  if (!ends) return fixed(line.mean, 2);
  const [low, high] = [line.mean - ends[0], ends[1] - line.mean];
  return fixed(line.mean, 2) + (Math.abs(low - high) < 0.011 ? " \u00b1 " + fixed(high, 2) : " (" + fixed(ends[0], 2) + " to " + fixed(ends[1], 2) + ")");
}

function rankText(rank) {
  if (!rank) return NONE;
  const [own, low, high] = rank;
  return known(low) && low !== high ? own + " (" + low + NONE + high + ")" : String(own);
}

function timeText(time) {
  if (!time) return NONE;
  const half = known(time[1]) ? " \u00b1 " + Number(Math.max(time[2] - time[0], time[0] - time[1]).toPrecision(2)) : "";
  return (half ? "" : "~") + time[0].toPrecision(3) + half + (time[3] ? " ?" : "");
}

function differenceText(told) {
  return told ? signed(told.value, 2) + (known(told.half) ? " \u00b1 " + fixed(told.half, 2) : "") : NONE;
}

function figures(line, board, place) {
  // All that is known of a line, for the note beside a point.
  const told = [[line.name, placeName(line.place)], [board.accuracy, spanText(line) + "\u202f%"]];
  if (line.rank) told.push(["rank (can be)", rankText(line.rank) + " of " + place.compared.length]);
  if (known(line.best)) told.push(["is the best here", share(line.best)]);
  if (line.against) told.push(["less " + board.blocks[place.against], differenceText(line.against)], ["verdict", line.against.words]);
  for (const [name, axis] of Object.entries(data.axes)) {
    if (!known(line.costs[name])) continue;
    const figure = name === "latency_ms" ? timeText(line.time) + " ms" : amount(line.costs[name]);
    told.push([axis.label, figure], ["on that front", share(line.fronts[name])]);
  }
  told.push(["seeds", line.n + (line.lost ? " (" + line.lost + ")" : "")]);
  if (line.tier) told.push(["tier", line.tier]);
  if (known(line.off)) told.push(["costs of its budget", line.off + " times"]);
  if (known(line.lr)) told.push(["learning rate", String(line.lr)]);
  return told;
}
