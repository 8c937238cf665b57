// What the controls do, undo, playing, and the start.
const past = [], future = [];
const memory = `toraeval-draw-${data.stamp}`;
const snapshot = () => JSON.stringify({ ...drawing, picture: undefined, chosen });

function record(before) {
  past.push(before);
  if (past.length > 200) past.shift();
  future.length = 0;
  remember();
}

function change(work) {
  const before = snapshot();
  work();
  if (snapshot() !== before) record(before);
  render();
}

function go(from, to) {
  if (!from.length) return;
  to.push(snapshot());
  const { chosen: then, ...rest } = JSON.parse(from.pop());
  Object.assign(drawing, rest);
  Object.assign(chosen, then);
  remember();
  render();
}

function remember() {
  try {
    sessionStorage.setItem(memory, JSON.stringify(drawing));
  } catch {
    try { sessionStorage.setItem(memory, snapshot()); } catch { /* a reload then starts anew */ }
  }
}

function render() {
  view.frame = Math.min(view.frame, Number(byId("frames").value) - 1);
  sizeStage();
  drawStage();
  drawTimeline();
  drawObjects();
  drawFields();
}

function play() {
  if (view.playing) { stop(); render(); return; }
  view.playing = true;
  const frames = Number(byId("frames").value), rate = drawing.fps || 16, first = view.frame >= frames - 1 ? 0 : view.frame;
  let start = null;
  const step = (now) => {
    if (!view.playing) return;
    start = start === null ? now : start;
    const frame = first + Math.floor(((now - start) / 1000) * rate);
    if (frame >= frames) { stop(); view.frame = frames - 1; render(); return; }
    if (frame !== view.frame) { view.frame = frame; drawStage(); drawTimeline(); }
    requestAnimationFrame(step);
  };
  drawFields();
  requestAnimationFrame(step);
}
function stop() { view.playing = false; }

const click = (id, work) => byId(id).addEventListener("click", work);
const onChange = (id, work) => byId(id).addEventListener("change", (event) => work(event.target));
click("undo", () => go(past, future));
click("redo", () => go(future, past));
click("clear", () => change(() => { drawing.tracks = []; chosen.track = chosen.key = -1; }));
click("tool-draw", () => { view.tool = "draw"; render(); });
click("tool-edit", () => { view.tool = "edit"; render(); });
click("new-object", () => change(() => addTrack([])));
click("new-camera", () => change(() => addTrack([], { camera: true })));
click("play", play);
click("add-point", () => change(addPointNearby));
click("even", () => change(() => { track().keys = evenly(track().keys); track().even = true; }));
click("equal", () => change(() => { track().keys = timed(track().keys, track().keys.slice(1).map(() => 1)); track().even = false; }));
click("simplify", () => change(() => { track().keys = fewestKeys(track().keys, Math.max(...drawing.canvas) / 120); chosen.key = -1; }));
click("pause", () => change(() => {
  const keys = track().keys, index = chosen.key < 0 ? keys.length - 1 : chosen.key, rest = Math.max(1, Math.round(drawing.moments / 8));
  keys.splice(index + 1, 0, { ...keys[index], m: keys[index].m + rest });
  for (const key of keys.slice(index + 2)) key.m += rest;
  const factor = (drawing.moments - 1) / Math.max(drawing.moments - 1, keys[keys.length - 1].m);
  track().keys = spread(keys.map((key) => ({ ...key, m: key.m * factor })));
  track().even = false;
  chosen.key = index + 1;
}));
click("add-camera", () => change(() => addCameraMove(byId("camera-move").value, byId("camera-percent").valueAsNumber || 20)));
click("save", () => trying(saveFile));
click("keep", () => trying(() => keepCase(false)));
click("replace-yes", () => { byId("replace").close(); trying(() => keepCase(true)); });
click("replace-no", () => byId("replace").close());
onChange("id", (field) => change(() => { drawing.id = field.value.trim() || "case"; }));
onChange("prompt", (field) => change(() => { drawing.prompt = field.value; }));
onChange("fps", (field) => change(() => { drawing.fps = field.valueAsNumber > 0 ? field.valueAsNumber : null; }));
onChange("moments", (field) => change(() => {
  if (field.valueAsNumber >= 2) setMoments(Math.min(MOST_MOMENTS, Math.round(field.valueAsNumber)));
}));
for (const [id, index] of [["width", 0], ["height", 1]]) {
  onChange(id, (field) => change(() => {
    const size = [...drawing.canvas];
    size[index] = Math.min(4096, Math.max(16, Math.round(field.valueAsNumber || size[index])));
    setCanvas(...size);
  }));
}
onChange("frames", () => { view.frame = 0; render(); });
onChange("cases", (field) => change(() => fromNative(view.cases.find((one) => one.id === field.value))));
byId("frame").addEventListener("input", (event) => { stop(); view.frame = event.target.valueAsNumber; drawStage(); drawTimeline(); drawFields(); });
onChange("open", (field) => trying(() => openFiles([...field.files]).finally(() => { field.value = ""; })));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) trying(() => openFiles([...event.dataTransfer.files]));
});
window.addEventListener("resize", render);

stage.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const keys = track() ? track().keys : [], key = keys[chosen.key], far = event.shiftKey ? 10 : 1;
  if (step && key) change(() => Object.assign(key, onCanvas(key.x + step[0] * far, key.y + step[1] * far)));
  else if ((event.key === "Delete" || event.key === "Backspace") && key) change(() => removeKey(chosen.key));
  else if (event.key === "Insert") change(addPointNearby);
  else if (event.key === "[" || event.key === "]") {
    chosen.key = Math.min(Math.max(chosen.key + (event.key === "]" ? 1 : -1), 0), keys.length - 1);
    render();
  } else if (event.key === " ") play();
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || /INPUT|TEXTAREA/.test(event.target.tagName)) return;
  event.preventDefault();
  if (event.shiftKey) go(future, past); else go(past, future);
});

byId("format").replaceChildren(...data.formats.map((name) => new Option(name, name)));
byId("keep-row").hidden = !data.server;
byId("keep-said").textContent = `as a case of ${data.out}/ for run suite=folder`;
if (data.cases.length) fromNative(data.cases[0]);
try {
  Object.assign(drawing, JSON.parse(sessionStorage.getItem(memory) || "{}"));
} catch { /* storage is off or damaged: start anew */ }
if (drawing.tracks.length && chosen.track < 0) chosen.track = 0;
render();
