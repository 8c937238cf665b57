// Drawings as files: the native format, and the text formats where no server does it.
const AT = { tora: [256, 256], motionctrl: [256, 256], dragnuwa: [576, 320] };

function native() {
  const rows = (tracks) => {
    const points = tracks.map((one) => everyMoment(one.keys));
    const found = { points: points.map((path) => path.map((point) => [round(point.x), round(point.y)])) };
    if (points.flat().some((point) => point.hidden)) found.visible = points.map((path) => path.map((point) => !point.hidden));
    return found;
  };
  const tracks = drawing.tracks.filter((one) => one.keys.length);
  const objects = tracks.filter((one) => !one.camera), camera = tracks.filter((one) => one.camera);
  const found = { format: "toraeval-trajectories", version: 1, id: drawing.id.trim() || "case", canvas: drawing.canvas };
  if (drawing.fps) found.fps = drawing.fps;
  if (drawing.prompt) found.prompt = drawing.prompt;
  if (objects.some((one) => one.name)) found.names = objects.map((one) => one.name);
  found.units = "pixels";
  return { ...found, ...rows(objects), ...(camera.length ? { camera: rows(camera) } : {}) };
}

function fromNative(sent) {
  const paths = (part, camera) => part.points.map((path, index) => {
    const seen = (moment) => path[moment] && !(part.visible && !part.visible[index][moment]);
    const known = path.map((point, m) => point && { m, x: point[0], y: point[1] }).filter(Boolean);
    const points = path.map((point, m) => ({ ...placeAt(known, m), m, hidden: !seen(m) }));
    return { name: (!camera && sent.names && sent.names[index]) || "", camera, even: false, keys: fewestKeys(points, 2e-3) };
  });
  if (sent.points[0].length > MOST_MOMENTS) throw new Error(`${sent.points[0].length} moments; the page takes at most ${MOST_MOMENTS}`);
  drawing.id = sent.id || "case";
  drawing.prompt = sent.prompt || "";
  drawing.fps = sent.fps || null;
  drawing.moments = sent.points[0].length;
  if (!drawing.picture) drawing.canvas = sent.canvas;
  drawing.tracks = [...paths(sent, false), ...(sent.camera ? paths(sent.camera, true) : [])];
  if (drawing.picture && String(drawing.canvas) !== String(sent.canvas)) {
    const canvas = drawing.canvas;
    drawing.canvas = sent.canvas;
    setCanvas(...canvas);
  }
  chosen.track = drawing.tracks.length ? 0 : -1;
  chosen.key = -1;
}

async function post(action, body) {
  const headers = { "Content-Type": "application/json" };
  let answer;
  try {
    answer = await fetch(action, { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    throw new Error("The server of this page has ended; start python -m toraeval draw again, and open a file to continue from.");
  }
  const sent = await answer.json();
  if (!answer.ok) throw new Error(sent.error);
  return sent;
}

function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const fileStem = () => (drawing.id.trim() || "case").replace(/[^\p{L}\p{N}_-]+/gu, "_").slice(0, 80) || "case";

// [{name, text}] of a format at a number of points, or all moments.
function written(format, frames) {
  const size = AT[format] || drawing.canvas, count = frames || drawing.moments;
  const onto = (value, axis) => round((value + 0.5) * (size[axis] / drawing.canvas[axis]) - 0.5);
  const tracks = drawing.tracks.filter((one) => one.keys.length && !one.camera)
    .map((one) => resampled(one.keys, count).map((point) => [onto(point.x, 0), onto(point.y, 1)]));
  const stem = fileStem();
  if (format === "dragnuwa") return [{ name: `${stem}.json`, text: JSON.stringify(tracks) }];
  if (format === "comfyui") return [{ name: `${stem}.json`, text: JSON.stringify(tracks.map((path) => path.map(([x, y]) => ({ x, y })))) }];
  return tracks.map((path, index) => ({
    name: tracks.length > 1 ? `${stem}.obj${index + 1}.txt` : `${stem}.txt`, text: path.map(([x, y]) => `${x},${y}\n`).join(""),
  }));
}

// Path files as a native case, where no server reads them.
function readHere(files) {
  const tracks = [];
  let canvas = drawing.canvas;
  for (const { name, text } of files) {
    if (!/^\s*[[{"]/.test(text)) {
      const path = text.split(/\r?\n/).filter((line) => line.trim()).map((line) => line.split(",").map(Number));
      canvas = AT.tora;
      tracks.push(path);
      continue;
    }
    const found = JSON.parse(text);
    if (found.format === "toraeval-trajectories") return found.cases ? found.cases.map((one) => ({ canvas: found.canvas, fps: found.fps, ...one })) : [{ id: name.replace(/\.[^.]*$/, ""), ...found }];
    const list = Array.isArray(found) && found.length && "x" in Object(found[0]) ? [found] : found;
    if (!Array.isArray(list)) throw new Error(`${name} is not one of the formats that this page reads`);
    for (const path of list) tracks.push(path.map((point) => (Array.isArray(point) ? point : [point.x, point.y])));
    if (Array.isArray(list[0][0])) canvas = AT.dragnuwa;
  }
  const longest = Math.max(...tracks.map((path) => path.length));
  if (!tracks.length || tracks.some((path) => path.length < 2 || path.some((point) => point.length !== 2 || !point.every(Number.isFinite)))) {
    throw new Error("A path must be two or more points of two numbers each.");
  }
  const stretched = (path) => Array.from({ length: longest }, (_, index) => {
    const at = (index * (path.length - 1)) / (longest - 1), low = Math.min(Math.floor(at), path.length - 2);
    return [0, 1].map((axis) => path[low][axis] + (at - low) * (path[low + 1][axis] - path[low][axis]));
  });
  return [{ id: files[0].name.replace(/(\.obj\d+)?\.[^.]*$/, ""), canvas, points: tracks.map(stretched) }];
}
