// The picture with its paths, and the timeline: drawn anew after every change.
const SVG = "http://www.w3.org/2000/svg";
const stage = byId("stage"), timeline = byId("timeline");
const ROW = 24, LEFT = 92, NEAR = 11;
let scale = 1;   // CSS pixels of one pixel of the canvas
let hand = null; // what the pointer is doing

function element(name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

const colour = (index) => data.colours[index % data.colours.length];
const label = (index) => {
  const { name, camera } = drawing.tracks[index];
  const number = drawing.tracks.slice(0, index + 1).filter((one) => one.camera === camera).length;
  return name || `${camera ? "camera" : "object"} ${number}`;
};
const line = (points) => points.map((point) => `${round(point.x, 2)},${round(point.y, 2)}`).join(" ");

function sizeStage() {
  const [width, height] = drawing.canvas;
  const room = stage.parentElement.clientWidth;
  scale = Math.min(room / width, (window.innerHeight * 0.66) / height);
  stage.setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`);
  stage.style.width = `${width * scale}px`;
  stage.style.height = `${height * scale}px`;
}

function drawStage() {
  const frames = Number(byId("frames").value), unit = 1 / scale, parts = [];
  const [width, height] = drawing.canvas;
  if (drawing.picture) {
    parts.push(element("image", { x: -0.5, y: -0.5, width, height, href: drawing.picture, preserveAspectRatio: "none" }));
  }
  drawing.tracks.forEach((one, index) => {
    if (!one.keys.length) return;
    const points = resampled(one.keys, frames), now = points[view.frame], mine = index === chosen.track;
    const dash = one.camera ? { "stroke-dasharray": `${6 * unit} ${5 * unit}` } : {};
    const ends = { fill: "none", "stroke-linejoin": "round", "stroke-linecap": "round", points: line(one.keys) };
    parts.push(element("polyline", { ...ends, stroke: "#000", "stroke-opacity": 0.55, "stroke-width": (mine ? 5.5 : 4.5) * unit }));
    parts.push(element("polyline", { ...ends, ...dash, stroke: colour(index), "stroke-width": (mine ? 3 : 2) * unit }));
    for (const point of points) {
      parts.push(element("circle", { cx: point.x, cy: point.y, r: 1.9 * unit, fill: point.hidden ? "none" : "#fff", stroke: "#000", "stroke-width": 0.8 * unit }));
    }
    if (mine && !view.playing) one.keys.forEach((key, at) => parts.push(...handle(key, at, unit, index)));
    parts.push(element("circle", {
      class: "now", cx: now.x, cy: now.y, r: 7.5 * unit, fill: now.hidden ? "none" : colour(index), stroke: "#000",
      "stroke-width": 1.8 * unit, "stroke-dasharray": now.hidden ? `${3 * unit} ${2 * unit}` : "none",
    }));
    const start = one.keys[0], right = start.x > width * 0.8;
    parts.push(element("text", {
      x: start.x + (right ? -11 : 11) * unit, y: start.y - 9 * unit, "font-size": 13 * unit, fill: "#fff", stroke: "#000",
      "stroke-width": 3 * unit, "paint-order": "stroke", "text-anchor": right ? "end" : "start",
      style: `font-size:${13 * unit}px`,
    }, label(index).slice(0, 40)));
  });
  if (hand && hand.stroke) parts.push(element("polyline", { points: line(hand.stroke), fill: "none", stroke: "#fff", "stroke-width": 3 * unit }));
  stage.replaceChildren(...parts);
  stage.classList.toggle("edit", view.tool === "edit");
  sayFrame(frames);
}

function handle(key, at, unit, index) {
  const side = 9 * unit, mine = at === chosen.key;
  const square = element("rect", {
    class: "key", x: key.x - side / 2, y: key.y - side / 2, width: side, height: side,
    fill: mine ? "#fff" : colour(index), stroke: mine ? "#d00" : "#000", "stroke-width": (mine ? 2.2 : 1.3) * unit,
  });
  return [square];
}

function sayFrame(frames) {
  byId("frame").max = frames - 1;
  byId("frame").value = view.frame;
  const keys = track() && track().keys.length ? resampled(track().keys, frames) : null;
  const fastest = keys ? Math.max(0, ...steps(keys)) : 0;
  byId("frame-said").textContent = `frame ${view.frame + 1} of ${frames}` +
    (keys ? `, fastest ${fastest.toFixed(1)} px a frame` : "");
}

function drawTimeline() {
  const width = timeline.parentElement.clientWidth, span = width - LEFT - 14, last = drawing.moments - 1;
  const height = ROW * Math.max(1, drawing.tracks.length) + 22;
  const at = (moment) => LEFT + (span * moment) / last;
  timeline.setAttribute("viewBox", `0 0 ${width} ${height}`);
  timeline.style.height = `${height}px`;
  const quiet = { stroke: "currentColor", "stroke-opacity": 0.35 };
  const parts = [0, 0.25, 0.5, 0.75, 1].map((part) => Math.round(part * last)).flatMap((moment) => [
    element("line", { ...quiet, x1: at(moment), x2: at(moment), y1: 16, y2: height }),
    element("text", { x: at(moment), y: 12, "text-anchor": moment === last ? "end" : moment ? "middle" : "start" }, String(moment)),
  ]);
  drawing.tracks.forEach((one, index) => {
    const y = 22 + ROW * index + ROW / 2, mine = index === chosen.track;
    parts.push(element("text", { x: 2, y: y + 4, "font-weight": mine ? 700 : 400 }, label(index).slice(0, 12)));
    parts.push(element("line", { x1: LEFT, x2: width - 14, y1: y, y2: y, stroke: colour(index), "stroke-width": mine ? 4 : 2 }));
    one.keys.forEach((key, place) => {
      const x = at(key.m), picked = mine && place === chosen.key;
      parts.push(element("path", {
        d: `M${x} ${y - 7}L${x + 6} ${y}L${x} ${y + 7}L${x - 6} ${y}Z`, fill: key.hidden ? "none" : colour(index),
        stroke: picked ? "#d00" : "currentColor", "stroke-width": picked ? 2.5 : 1.2,
      }));
    });
  });
  const now = at((view.frame * last) / (Number(byId("frames").value) - 1));
  parts.push(element("line", { x1: now, x2: now, y1: 14, y2: height, stroke: "#d00", "stroke-width": 1.5 }));
  timeline.replaceChildren(...parts);
}

function pointOf(event, svg = stage) {
  const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return { x: place.x, y: place.y, t: event.timeStamp };
}

// The key nearest to a place, of the chosen track first: [track, key], or null where none is near.
function keyNear(point, all) {
  const order = drawing.tracks.map((_, index) => index).sort((a, b) => (b === chosen.track) - (a === chosen.track));
  for (const index of all ? order : order.slice(0, track() ? 1 : 0)) {
    const away = drawing.tracks[index].keys.map((key) => Math.hypot(key.x - point.x, key.y - point.y) * scale);
    const nearest = away.indexOf(Math.min(...away));
    if (away[nearest] <= NEAR) return [index, nearest];
  }
  return null;
}

function momentNear(point, index) {
  const keys = drawing.tracks[index].keys;
  if (keys.length < 2) return null;
  const away = everyMoment(keys).map((place) => Math.hypot(place.x - point.x, place.y - point.y) * scale);
  const nearest = away.indexOf(Math.min(...away));
  return away[nearest] <= Math.max(NEAR, Math.max(...steps(everyMoment(keys))) * scale) ? nearest : null;
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  stop();
  const point = pointOf(event), found = keyNear(point, view.tool === "edit");
  stage.setPointerCapture(event.pointerId);
  stage.focus({ preventScroll: true });
  event.preventDefault();
  if (found) {
    [chosen.track, chosen.key] = found;
    hand = { move: true, before: snapshot() };
  } else if (view.tool === "draw") {
    hand = { stroke: [point] };
  } else {
    const on = drawing.tracks.map((_, index) => index).filter((index) => momentNear(point, index) !== null);
    if (on.includes(chosen.track)) change(() => insertAt(chosen.track, momentNear(point, chosen.track)));
    else if (on.length) [chosen.track, chosen.key] = [on[0], -1];
  }
  render();
});

stage.addEventListener("pointermove", (event) => {
  if (!hand) return;
  const point = pointOf(event);
  if (hand.stroke) hand.stroke.push({ ...point, ...onCanvas(point.x, point.y) });
  else if (hand.move) {
    Object.assign(track().keys[chosen.key], onCanvas(round(point.x, 1), round(point.y, 1)));
    hand.moved = true;
  }
  drawStage();
});

stage.addEventListener("pointerup", () => {
  const done = hand;
  hand = null;
  if (!done) return;
  if (done.stroke) {
    const far = Math.max(...done.stroke.map((point) => Math.hypot(point.x - done.stroke[0].x, point.y - done.stroke[0].y)));
    if (far * scale < 5) change(() => addPoint(done.stroke[0].x, done.stroke[0].y));
    else change(() => addStroke(done.stroke, byId("drawn-timing").value));
  } else if (done.moved) {
    if (track().even) track().keys = evenly(track().keys);
    record(done.before);
  }
  render();
});
stage.addEventListener("pointercancel", () => { hand = null; render(); });

timeline.addEventListener("pointerdown", (event) => {
  const point = pointOf(event, timeline), index = Math.floor((point.y - 22) / ROW);
  const last = drawing.moments - 1, moment = ((point.x - LEFT) / (timeline.parentElement.clientWidth - LEFT - 14)) * last;
  const one = drawing.tracks[index];
  timeline.setPointerCapture(event.pointerId);
  hand = { scrub: true };
  if (one) {
    [chosen.track, chosen.key] = [index, -1];
    const away = one.keys.map((key) => Math.abs(key.m - moment));
    const nearest = away.indexOf(Math.min(...away));
    if (away[nearest] <= (9 / timeline.parentElement.clientWidth) * last) {
      chosen.key = nearest;
      hand = { retime: true, before: snapshot() };
    }
  }
  if (hand.scrub) scrubTo(moment);
  render();
});

timeline.addEventListener("pointermove", (event) => {
  if (!hand) return;
  const last = drawing.moments - 1;
  const moment = ((pointOf(event, timeline).x - LEFT) / (timeline.parentElement.clientWidth - LEFT - 14)) * last;
  if (hand.scrub) scrubTo(moment);
  else if (hand.retime && setMoment(chosen.key, Math.round(moment))) hand.moved = true;
  render();
});
timeline.addEventListener("pointerup", () => {
  if (hand && hand.moved) record(hand.before);
  hand = null;
  render();
});

function scrubTo(moment) {
  stop();
  const frames = Number(byId("frames").value);
  view.frame = Math.min(frames - 1, Math.max(0, Math.round((moment / (drawing.moments - 1)) * (frames - 1))));
}

// Give a key another moment, between those of its neighbours.
function setMoment(index, moment) {
  const keys = track().keys;
  const low = index ? keys[index - 1].m + 1 : 0, high = index + 1 < keys.length ? keys[index + 1].m - 1 : drawing.moments - 1;
  const allowed = Math.min(Math.max(moment, low), high);
  if (allowed === keys[index].m) return false;
  keys[index].m = allowed;
  track().even = false;
  return true;
}
