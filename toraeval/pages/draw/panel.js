// The panel beside the picture: files, case, objects, points.
function html(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// As many children as items, made once and then only updated, so that a field keeps the focus while others change.
function sync(parent, count, make, update) {
  while (parent.children.length > count) parent.lastChild.remove();
  while (parent.children.length < count) parent.append(make(parent.children.length));
  [...parent.children].forEach(update);
}

function button(text, work) {
  const made = html("button", { type: "button", textContent: text });
  made.addEventListener("click", work);
  return made;
}

function field(made, work) {
  made.addEventListener("change", () => work(made));
  return made;
}

function makeObject(index) {
  const one = () => drawing.tracks[index];
  return html("div", {}, [
    html("span", { className: "swatch" }),
    button("choose", () => { [chosen.track, chosen.key] = [index, -1]; render(); }),
    field(html("input", { dir: "auto", maxLength: 200 }), (name) => change(() => { one().name = name.value.trim(); })),
    field(html("select", {}, [new Option("object", ""), new Option("camera", "camera")]), (kind) => change(() => { one().camera = Boolean(kind.value); })),
    button("×", () => change(() => removeTrack(index))),
  ]);
}

function updateObject(row, index) {
  const one = drawing.tracks[index], said = label(index), [swatch, pick, name, kind, remove] = row.children;
  row.className = index === chosen.track ? "object chosen" : "object";
  swatch.style.background = colour(index);
  pick.textContent = index === chosen.track ? "chosen" : "choose";
  pick.setAttribute("aria-pressed", String(index === chosen.track));
  name.value = one.name;
  name.placeholder = said;
  kind.value = one.camera ? "camera" : "";
  [[pick, "choose"], [name, "name of"], [kind, "kind of"], [remove, "remove"]].forEach(([part, what]) => part.setAttribute("aria-label", `${what} ${said}`));
}

function makeRow(index) {
  const key = () => track().keys[index], said = `point ${index + 1}`;
  const number = (name, step, set) => {
    const made = html("input", { type: "number", step });
    made.setAttribute("aria-label", `${name} of ${said}`);
    return html("td", {}, [field(made, () => (Number.isFinite(made.valueAsNumber) ? change(() => set(made.valueAsNumber)) : render()))]);
  };
  const hidden = field(html("input", { type: "checkbox" }), () => change(() => { key().hidden = hidden.checked; }));
  hidden.setAttribute("aria-label", `${said} hidden until the next`);
  const remove = button("×", () => change(() => removeKey(index)));
  remove.setAttribute("aria-label", `remove ${said}`);
  const row = html("tr", {}, [
    html("td", { textContent: index + 1 }), number("moment", 1, (value) => setMoment(index, Math.round(value))),
    number("x", "any", (value) => Object.assign(key(), onCanvas(value, key().y))),
    number("y", "any", (value) => Object.assign(key(), onCanvas(key().x, value))),
    html("td", {}, [hidden]), html("td", {}, [remove]),
  ]);
  row.addEventListener("focusin", () => {
    if (chosen.key === index) return;
    chosen.key = index;
    for (const other of byId("rows").children) other.classList.toggle("chosen", other === row);
    drawStage();
    drawTimeline();
  });
  return row;
}

function updateRow(row, index) {
  const key = track().keys[index], [moment, x, y, hidden] = row.querySelectorAll("input");
  row.className = index === chosen.key ? "chosen" : "";
  [moment.value, x.value, y.value, hidden.checked] = [key.m, round(key.x, 2), round(key.y, 2), key.hidden];
}

function drawObjects() {
  sync(byId("objects"), drawing.tracks.length, makeObject, updateObject);
  byId("no-objects").hidden = drawing.tracks.length > 0;
  const keys = track() ? track().keys : [];
  sync(byId("rows"), keys.length, makeRow, updateRow);
  for (const id of ["even", "equal", "simplify", "pause"]) byId(id).disabled = keys.length < (id === "pause" ? 1 : 2);
}

function drawFields() {
  for (const [id, value] of Object.entries({
    id: drawing.id, prompt: drawing.prompt, fps: drawing.fps || "", moments: drawing.moments, width: drawing.canvas[0], height: drawing.canvas[1],
  })) if (byId(id) !== document.activeElement) byId(id).value = value;
  byId("width").disabled = byId("height").disabled = Boolean(drawing.picture);
  byId("canvas-said").textContent = drawing.picture
    ? "The canvas is the picture's size. Moments are the points that a file holds of every path; any number of frames is made from them."
    : "Moments are the points that a file holds of every path; any number of frames is made from them.";
  byId("tool-draw").setAttribute("aria-pressed", String(view.tool === "draw"));
  byId("tool-edit").setAttribute("aria-pressed", String(view.tool === "edit"));
  byId("undo").disabled = !past.length;
  byId("redo").disabled = !future.length;
  byId("play").textContent = view.playing ? "Stop" : "Play";
  byId("cases-label").hidden = view.cases.length < 2;
  if (byId("cases") !== document.activeElement) byId("cases").replaceChildren(...view.cases.map((one) => new Option(one.id, one.id, false, one.id === drawing.id)));
}

function say(lines, bad = false) {
  const items = lines.map((text) => html("li", { textContent: text, dir: "auto" }));
  byId("notes").replaceChildren(html("ul", { className: bad ? "bad" : "" }, items));
}

async function trying(action) {
  try {
    await action();
  } catch (error) {
    say([error.message], true);
  }
}

function pictureFrom(blob) {
  return new Promise((done, failed) => {
    const image = new Image(), address = URL.createObjectURL(blob);
    image.onload = () => {
      const shrink = Math.min(1, 4096 / Math.max(image.naturalWidth, image.naturalHeight));
      const canvas = html("canvas", { width: Math.round(image.naturalWidth * shrink), height: Math.round(image.naturalHeight * shrink) });
      const pen = canvas.getContext("2d");
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.drawImage(image, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(address);
      done({ url: canvas.toDataURL("image/png"), size: [canvas.width, canvas.height] });
    };
    image.onerror = () => failed(new Error("The picture cannot be read."));
    image.src = address;
  });
}

const isPicture = (file) => /\.(png|jpe?g|webp|bmp|gif|avif)$/i.test(file.name);
const encoded = (file) => new Promise((done) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result.split(",")[1] || "");
  reader.readAsDataURL(file);
});

async function openFiles(files) {
  const picture = files.find(isPicture), paths = files.filter((file) => !isPicture(file));
  const notes = [];
  if (picture) {
    const found = await pictureFrom(picture);
    setCanvas(...found.size);
    drawing.picture = found.url;
    if (drawing.id === "case") drawing.id = picture.name.replace(/\.[^.]*$/, "");
    past.length = future.length = 0; // earlier steps were on another canvas
    remember();
    notes.push(`${picture.name}: ${found.size.join(" x ")} pixels`);
  }
  if (paths.length) {
    let cases;
    if (data.server) {
      const sent = [];
      for (const file of paths) sent.push({ name: file.name, data: await encoded(file) });
      const found = await post("open", { files: sent, canvas: drawing.canvas, onto: Boolean(drawing.picture) });
      cases = found.cases;
      notes.push(...found.notes);
    } else {
      const read = [];
      for (const file of paths) read.push({ name: file.name, text: await file.text() });
      cases = readHere(read);
    }
    change(() => fromNative(cases[0]));
    view.cases = cases;
    if (cases.length > 1) notes.push(`${cases.length} cases in the file: choose one above`);
    notes.push(`${drawing.tracks.length} path${drawing.tracks.length === 1 ? "" : "s"} of ${drawing.moments} moments`);
  }
  render();
  say(notes);
}

async function saveFile() {
  const format = byId("format").value, frames = byId("points").valueAsNumber || null, stuck = problems();
  if (!drawing.tracks.some((one) => one.keys.length && !one.camera)) throw new Error(stuck[0]);
  const notes = stuck;
  let files;
  if (data.server) {
    const found = await post("save", { case: native(), format, frames });
    files = found.files.map((file) => ({ name: file.name, blob: new Blob([bytes(file.data)]) }));
    notes.push(...found.notes);
  } else if (format === "native") {
    files = [{ name: `${fileStem()}.json`, blob: new Blob([JSON.stringify(native(), null, 1)]) }];
  } else {
    files = written(format, frames).map((file) => ({ name: file.name, blob: new Blob([file.text]) }));
    notes.push(`A file of this format holds no names, hidden points, frame rate, prompt or camera; native holds them all.`);
  }
  if (format === "native" && drawing.picture) files.push({ name: `${files[0].name.replace(/\.json$/, "")}.png`, blob: new Blob([bytes(drawing.picture.split(",")[1])]) });
  for (const file of files) download(file.name, file.blob);
  say([`saved: ${files.map((file) => file.name).join(", ")}`, ...notes]);
}

async function keepCase(replace) {
  const stuck = problems();
  if (stuck.length) throw new Error(stuck[0]);
  const picture = drawing.picture ? drawing.picture.split(",")[1] : null;
  const found = await post("keep", { case: native(), picture, replace });
  if (found.exists) {
    byId("replace-said").textContent = `${data.out} has ${found.name} already. Replace it with this drawing?`;
    byId("replace").showModal();
    return;
  }
  say([`kept: ${found.files.join(", ")}`, ...found.notes, "Run it: "]);
  byId("notes").querySelector("li:last-child").append(html("code", { textContent: found.command }));
}
