// Two videos that show the same frame, and the drawn path over both.
const SVG = "http://www.w3.org/2000/svg";
const videos = [byId("left"), byId("right")];
const shown = { fps: 8, frames: 1, frame: 0, points: [], visible: null, load: 0 };

function svgElement(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Over http the whole clip is fetched first, because a video can only be searched where the server sends parts of it.
async function address(name) {
  const place = `clips/${name}.mp4`;
  if (!data.server) return place;
  const sent = await fetch(place);
  if (!sent.ok) throw new Error("A clip cannot be loaded.");
  return URL.createObjectURL(await sent.blob());
}

async function loadPair(pair, names) {
  pause();
  const load = (shown.load += 1);
  Object.assign(shown, { fps: pair.fps, points: pair.points, visible: pair.visible, frames: pair.points[0].length, frame: 0 });
  const sources = await Promise.all(names.map(address));
  if (load !== shown.load) return;
  await Promise.all(videos.map((video, index) => new Promise((done, failed) => {
    if (video.src.startsWith("blob:")) URL.revokeObjectURL(video.src);
    video.onloadeddata = done;
    video.onerror = () => failed(new Error("A clip cannot be played by this browser."));
    video.src = sources[index];
  })));
  for (const video of videos) sizeScreen(video);
  byId("time").max = shown.frames - 1;
  show(0);
}

function sizeScreen(video) {
  const { videoWidth: width, videoHeight: height } = video, screen = video.parentElement;
  screen.style.aspectRatio = `${width} / ${height}`;
  screen.style.maxWidth = `${(window.innerHeight * 0.55 * width) / height}px`;
  screen.querySelectorAll("svg").forEach((old) => old.remove());
  const svg = svgElement("svg", { viewBox: `-0.5 -0.5 ${width} ${height}`, "aria-hidden": "true" });
  const unit = Math.max(width, height) / 320;
  shown.points.forEach((path, index) => {
    const line = { points: path.map((point) => point.join(",")).join(" "), fill: "none", "stroke-linejoin": "round", "stroke-linecap": "round" };
    svg.append(
      svgElement("polyline", { ...line, stroke: "#000", "stroke-width": 3.6 * unit, "stroke-opacity": 0.6 }),
      svgElement("polyline", { ...line, stroke: data.colours[index % data.colours.length], "stroke-width": 2 * unit }),
      svgElement("circle", { r: 4.5 * unit, fill: data.colours[index % data.colours.length], stroke: "#000", "stroke-width": unit }),
    );
  });
  screen.append(svg);
}

function drawOverlay() {
  for (const svg of document.querySelectorAll(".screen svg")) {
    svg.style.display = byId("overlay").checked ? "" : "none";
    svg.querySelectorAll("circle").forEach((dot, index) => {
      const [x, y] = shown.points[index][shown.frame];
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", y);
      dot.setAttribute("fill-opacity", !shown.visible || shown.visible[index][shown.frame] ? 1 : 0);
    });
  }
  byId("time").value = shown.frame;
  byId("frame").textContent = `frame ${shown.frame + 1} of ${shown.frames}`;
}

function show(frame) {
  shown.frame = Math.min(Math.max(frame, 0), shown.frames - 1);
  for (const video of videos) video.currentTime = (shown.frame + 0.5) / shown.fps;
  drawOverlay();
}

function pause() {
  for (const video of videos) video.pause();
  byId("play").textContent = "Play";
}

async function togglePlay() {
  if (!videos[0].paused) { pause(); return; }
  if (shown.frame >= shown.frames - 1) show(0);
  for (const video of videos) video.playbackRate = Number(byId("speed").value);
  byId("play").textContent = "Pause";
  try {
    await Promise.all(videos.map((video) => video.play()));
  } catch {
    pause();
    return;
  }
  requestAnimationFrame(follow);
}

// While playing, the left video leads and the right one is put right where it is half a frame off.
function follow() {
  const [lead, second] = videos;
  if (lead.paused) return;
  if (lead.ended || second.ended) {
    pause();
    show(shown.frames - 1);
    return;
  }
  if (Math.abs(lead.currentTime - second.currentTime) > 0.5 / shown.fps) second.currentTime = lead.currentTime;
  shown.frame = Math.min(shown.frames - 1, Math.floor(lead.currentTime * shown.fps + 1e-3));
  drawOverlay();
  requestAnimationFrame(follow);
}
