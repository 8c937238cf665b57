// A drawing. Every track has keys {m, x, y, hidden}: m a whole moment in 0..moments-1, x and y pixels of the canvas
// with pixel centres at integers. Between keys a point moves evenly; before the first and after the last it rests.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const round = (value, places = 4) => Math.round(value * 10 ** places) / 10 ** places;
const MOST_MOMENTS = 2000;
const drawing = {
  id: data.id || "case", prompt: "", fps: null, moments: 128, canvas: data.canvas, picture: data.picture, tracks: [],
};
const chosen = { track: -1, key: -1 };
const view = { tool: "draw", frame: 0, playing: false, cases: data.cases };

const track = () => drawing.tracks[chosen.track];
const onCanvas = (x, y) => ({
  x: Math.min(Math.max(x, -0.5), drawing.canvas[0] - 0.5), y: Math.min(Math.max(y, -0.5), drawing.canvas[1] - 0.5),
});

function placeAt(keys, moment) {
  let next = keys.findIndex((key) => key.m > moment);
  if (next === 0) return { x: keys[0].x, y: keys[0].y, hidden: keys[0].hidden };
  if (next < 0) next = keys.length;
  const before = keys[next - 1], after = keys[next] || before;
  const part = after === before ? 0 : (moment - before.m) / (after.m - before.m);
  return { x: before.x + part * (after.x - before.x), y: before.y + part * (after.y - before.y), hidden: before.hidden };
}

function everyMoment(keys) {
  let next = 0;
  return Array.from({ length: drawing.moments }, (_, moment) => {
    while (next < keys.length && keys[next].m <= moment) next += 1;
    return placeAt(keys.slice(Math.max(0, next - 1), next + 1), moment);
  });
}

// As toraeval.geometry.resample: linear over the moment, visibility of the nearest one, the earlier of two.
function resampled(keys, frames) {
  const points = everyMoment(keys), last = points.length - 1;
  return Array.from({ length: frames }, (_, index) => {
    const position = frames > 1 ? (index * last) / (frames - 1) : 0;
    const before = Math.min(Math.floor(position), last - 1), part = position - before;
    const [a, b] = [points[before], points[before + 1]];
    return {
      x: a.x + part * (b.x - a.x), y: a.y + part * (b.y - a.y), hidden: points[Math.ceil(position - 0.5)].hidden,
    };
  });
}

// The fewest keys (Douglas and Peucker, over the moments) between which no moment is off by more than `tolerance`.
function fewestKeys(points, tolerance) {
  const keep = new Set([0, points.length - 1]);
  points.forEach((point, index) => {
    if (index && point.hidden !== points[index - 1].hidden) keep.add(index).add(index - 1);
  });
  const fixed = [...keep].sort((a, b) => a - b);
  const parts = fixed.slice(1).map((end, index) => [fixed[index], end]);
  while (parts.length) {
    const [start, end] = parts.pop();
    let worst = tolerance, at = -1;
    for (let index = start + 1; index < end; index += 1) {
      const part = (points[index].m - points[start].m) / (points[end].m - points[start].m);
      const off = ["x", "y"].map((axis) =>
        Math.abs(points[start][axis] + part * (points[end][axis] - points[start][axis]) - points[index][axis]));
      if (Math.max(...off) > worst) [worst, at] = [Math.max(...off), index];
    }
    if (at > 0) { keep.add(at); parts.push([start, at], [at, end]); }
  }
  return [...keep].sort((a, b) => a - b).map((index) => points[index]);
}

// Whole moments, each later than the one before; of more keys than moments some between the ends are left out.
function spread(keys) {
  const last = drawing.moments - 1;
  const kept = keys.length <= drawing.moments ? keys
    : Array.from({ length: drawing.moments }, (_, index) => keys[Math.round((index * (keys.length - 1)) / last)]);
  let moment = -1;
  const found = kept.map((key) => ({ ...key, m: (moment = Math.max(Math.round(key.m), moment + 1)) }));
  let most = last;
  for (let index = found.length - 1; index >= 0; index -= 1) {
    found[index].m = Math.min(found[index].m, most);
    most = found[index].m - 1;
  }
  return found;
}

function timed(keys, weights) {
  const sums = weights.reduce((all, weight) => [...all, all[all.length - 1] + weight], [0]);
  const total = sums[sums.length - 1];
  if (!total) return spread(keys.map((key, index) => ({ ...key, m: (index * (drawing.moments - 1)) / Math.max(1, keys.length - 1) })));
  return spread(keys.map((key, index) => ({ ...key, m: (sums[index] / total) * (drawing.moments - 1) })));
}

const steps = (keys) => keys.slice(1).map((key, index) => Math.hypot(key.x - keys[index].x, key.y - keys[index].y));
const evenly = (keys) => timed(keys, steps(keys));

function addTrack(keys, { name = "", camera = false, even = true } = {}) {
  drawing.tracks.push({ name, camera, even, keys });
  chosen.track = drawing.tracks.length - 1;
  chosen.key = keys.length - 1;
}

function addPoint(x, y) {
  if (!track()) addTrack([]);
  const keys = track().keys, place = onCanvas(round(x, 1), round(y, 1)), last = drawing.moments - 1;
  if (track().even) track().keys = evenly([...keys, { m: 0, ...place, hidden: false }]);
  else {
    const squeezed = keys.map((key) => ({ ...key, m: (key.m * keys.length) / (keys.length + 1) }));
    track().keys = spread([...squeezed, { m: last, ...place, hidden: false }]);
  }
  chosen.key = track().keys.length - 1;
}

// A point beside the last one, for people who draw without a mouse.
function addPointNearby() {
  const [width, height] = drawing.canvas, last = track() && track().keys[track().keys.length - 1];
  if (last) addPoint(last.x + (last.x < width * 0.85 ? width : -width) / 10, last.y);
  else addPoint(width / 2, height / 2);
}

// What was drawn by hand: [{x, y, t}] with times in milliseconds.
function addStroke(stroke, timing) {
  const start = stroke[0].t, whole = Math.max(1, stroke[stroke.length - 1].t - start);
  const points = stroke.map((point, index) => ({
    ...onCanvas(round(point.x, 1), round(point.y, 1)), hidden: false,
    m: timing === "hand" ? ((point.t - start) / whole) * (drawing.moments - 1) : index,
  }));
  const rising = points.filter((point, index) => !index || point.m > points[index - 1].m);
  const tolerance = Math.max(...drawing.canvas) / 250;
  const even = timing !== "hand";
  const keys = even ? evenly(fewestKeys(withLengths(rising), tolerance)) : spread(fewestKeys(rising, tolerance));
  if (track() && !track().keys.length) Object.assign(track(), { keys, even });
  else addTrack(keys, { even });
  chosen.key = keys.length - 1;
}

// The points with the way so far as their moment, so that the shape alone decides which of them are needed.
function withLengths(points) {
  let way = 0;
  return points.map((point, index) => {
    if (index) way += Math.max(1e-6, Math.hypot(point.x - points[index - 1].x, point.y - points[index - 1].y));
    return { ...point, m: way };
  });
}

function insertAt(index, moment) {
  const keys = track().keys, after = keys.findIndex((key) => key.m >= moment);
  if (after < 0 || keys[after].m === moment) return;
  const place = placeAt(keys, moment);
  keys.splice(after, 0, { ...place, m: moment, x: round(place.x, 1), y: round(place.y, 1) });
  track().even = false;
  chosen.key = after;
}

function removeKey(index) {
  track().keys.splice(index, 1);
  if (track().even) track().keys = evenly(track().keys);
  chosen.key = Math.min(index, track().keys.length - 1);
}

function removeTrack(index) {
  drawing.tracks.splice(index, 1);
  chosen.track = Math.min(chosen.track, drawing.tracks.length - 1);
  chosen.key = -1;
}

function setMoments(count) {
  const factor = (count - 1) / (drawing.moments - 1);
  drawing.moments = count;
  for (const one of drawing.tracks) one.keys = spread(one.keys.map((key) => ({ ...key, m: key.m * factor })));
}

function setCanvas(width, height) {
  const [fx, fy] = [width / drawing.canvas[0], height / drawing.canvas[1]];
  drawing.canvas = [width, height];
  for (const key of drawing.tracks.flatMap((one) => one.keys)) {
    key.x = round((key.x + 0.5) * fx - 0.5);
    key.y = round((key.y + 0.5) * fy - 0.5);
  }
}

function addCameraMove(move, percent) {
  const [width, height] = drawing.canvas, zoom = Math.min(percent, 90) / 100, pan = Math.min(percent, 24) / 100;
  const shift = { left: [pan, 0], right: [-pan, 0], up: [0, pan], down: [0, -pan] }[move];
  const grow = { in: 1 + zoom, out: 1 / (1 + zoom) }[move];
  for (const [u, v] of [[0.25, 0.25], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0.75, 0.75]]) {
    const [p, q] = shift ? [u + shift[0], v + shift[1]] : [0.5 + (u - 0.5) * grow, 0.5 + (v - 0.5) * grow];
    const key = (a, b, m) => ({ m, x: round(a * width - 0.5, 1), y: round(b * height - 0.5, 1), hidden: false });
    addTrack([key(u, v, 0), key(p, q, drawing.moments - 1)], { camera: true });
  }
}

// What stands in the way of using the drawing, a sentence each.
function problems() {
  const found = [];
  const objects = drawing.tracks.filter((one) => !one.camera && one.keys.length);
  if (!objects.length) found.push("There is no object yet: a case needs the path of at least one.");
  for (const one of drawing.tracks) {
    const said = label(drawing.tracks.indexOf(one));
    if (one.keys.length && one.keys[0].hidden) found.push(`${said} starts hidden, but every path must start visibly.`);
  }
  return found;
}
