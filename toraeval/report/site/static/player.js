// All clips of one case side by side under one scrubber, with the asked and the tracked path drawn over them.
"use strict";

toraeval.Player = class {
  constructor(root) {
    this.root = root;
    this.tiles = [];
    this.frame = 0;
    this.playing = false;
    const find = (selector) => root.querySelector(selector);
    [this.range, this.count, this.speed, this.overlay, this.holder] = [".frame", ".count", ".speed", ".overlay", ".tiles"].map(find);
    this.button = find("[data-do=play]");
    const acts = { first: () => this.go(0), back: () => this.step(-1), play: () => this.toggle(), forward: () => this.step(1), last: () => this.go(Infinity) };
    root.querySelector(".buttons").addEventListener("click", (event) => {
      const button = event.target.closest("[data-do]");
      if (button) acts[button.dataset.do]();
    });
    this.range.addEventListener("input", () => this.go(Number(this.range.value)));
    this.speed.addEventListener("change", () => this.restart());
    this.overlay.addEventListener("change", () => this.draw());
    document.addEventListener("theme", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.holder);
    const faster = (by) => {
      const index = this.speed.selectedIndex + by;
      if (this.speed.options[index]) { this.speed.selectedIndex = index; this.restart(); }
    };
    Object.assign(toraeval.keys, {
      " ": () => this.toggle(),
      ArrowLeft: (event) => this.step(event.shiftKey ? -10 : -1),
      ArrowRight: (event) => this.step(event.shiftKey ? 10 : 1),
      Home: () => this.go(0),
      End: () => this.go(Infinity),
      "[": () => faster(-1),
      "]": () => faster(1),
      o: () => { this.overlay.checked = !this.overlay.checked; this.draw(); },
    });
  }

  show(content) {
    this.stop();
    this.tiles.forEach((tile) => { if (tile.video) { tile.video.removeAttribute("src"); tile.video.load(); } });
    const longest = Math.max(1, ...content.clips.map((clip) => clip.frames));
    const highest = Math.max(1e-6, ...content.clips.filter((clip) => !clip.still).flatMap((clip) => clip.errors || []).filter((one) => one !== null));
    this.last = longest - 1;
    this.fps = Math.max(...content.clips.map((clip) => clip.fps));
    this.range.max = this.last;
    this.tiles = content.clips.map((clip) => new toraeval.Tile(clip, highest, this));
    this.holder.replaceChildren(...this.tiles.map((tile) => tile.figure));
    this.root.hidden = false;
    this.go(0);
  }

  step(by) { this.go(this.frame + by); }

  go(frame) {
    this.stop();
    this.set(frame);
    this.tiles.forEach((tile) => tile.seek(this.frame));
  }

  set(frame) {
    this.frame = Math.min(Math.max(Math.round(frame), 0), this.last);
    this.range.value = this.frame;
    this.count.textContent = `frame ${this.frame} / ${this.last}`;
  }

  draw() { this.tiles.forEach((tile) => tile.draw()); }

  toggle() { if (this.playing) this.go(this.frame); else this.play(); }

  label(words, name) { this.button.textContent = words; this.button.setAttribute("aria-label", name); }

  restart() { if (this.playing) { this.stop(); this.play(); } }

  stop() {
    if (!this.playing) return;
    this.playing = false;
    cancelAnimationFrame(this.tick);
    this.tiles.forEach((tile) => tile.video && tile.video.pause());
    this.label("▶ Play", "Play");
  }

  // One clock leads; a clip that has drifted by half a frame is put back.
  async play() {
    if (this.frame >= this.last) this.set(0);
    this.playing = true;
    this.label("⏸ Pause", "Pause");
    const speed = Number(this.speed.value);
    const from = this.frame;
    await Promise.all(this.tiles.map((tile) => tile.ready(from)));
    if (!this.playing) return;
    this.tiles.forEach((tile) => tile.start(speed));
    const start = performance.now();
    const tick = (now) => {
      const exact = from + .5 + Math.max(0, now - start) / 1000 * this.fps * speed;
      if (exact >= this.last + 1) {
        this.stop();
        this.set(0);
        this.tiles.forEach((tile) => tile.seek(0));
        this.play();
        return;
      }
      this.set(Math.floor(exact));
      this.tiles.forEach((tile) => tile.follow(exact));
      this.tick = requestAnimationFrame(tick);
    };
    this.tick = requestAnimationFrame(tick);
  }

  // What each video shows now, for whoever wants to check that all show the same.
  frames() { return this.tiles.filter((tile) => tile.video).map((tile) => tile.shown()); }
};

toraeval.Tile = class {
  constructor(clip, highest, player) {
    const { make, number } = toraeval;
    this.clip = clip;
    this.player = player;
    this.frame = 0;
    this.figure = make("figure", { class: `tile ${clip.style}` });
    this.figure.append(make("figcaption", {}, make("bdi", {}, make("i", { class: "swatch" }), clip.model),
      make("span", { class: "num" }, clip.value === null ? (clip.status === "failed" ? "failed" : "") : number(clip.value) + clip.unit)));
    this.screen = make("div", { class: "screen" });
    const [width, height] = clip.size;
    this.size = [width + clip.padded[0], height + clip.padded[1]];
    this.screen.style.aspectRatio = `${this.size[0]} / ${this.size[1]}`;
    if (clip.video) {
      this.video = make("video", { src: document.body.dataset.root + clip.video, preload: "auto", playsinline: "", "aria-label": `Video of ${clip.model}` });
      this.video.muted = true;
      this.video.addEventListener("seeked", () => this.next());
      this.video.addEventListener("loadeddata", () => this.next());
      this.screen.append(this.video);
    } else {
      this.screen.append(make("p", {}, clip.status === "failed" ? `Failed: ${clip.error}` : "No video was kept."));
    }
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.screen.append(this.canvas);
    this.figure.append(this.screen);
    if (clip.errors) this.spark(highest);
  }

  spark(highest) {
    const { make } = toraeval;
    const last = Math.max(this.clip.frames - 1, 1);
    const points = this.clip.errors.map((error, i) => [100 * i / last, error]).filter((one) => one[1] !== null)
      .map(([x, error]) => `${x.toFixed(2)} ${(38 - 34 * Math.min(error / highest, 1)).toFixed(2)}`);
    const svg = make("svg", { class: "spark", viewBox: "0 0 100 40", preserveAspectRatio: "none", "aria-hidden": "true" });
    svg.append(make("line", { class: "end", x1: 0, x2: 100, y1: 38, y2: 38, "vector-effect": "non-scaling-stroke" }));
    if (points.length) {
      const [first, end] = [points[0].split(" ")[0], points[points.length - 1].split(" ")[0]];
      svg.append(make("path", { class: "area", d: `M${first} 38L${points.join("L")}L${end} 38Z` }));
      svg.append(make("path", { class: "curve", d: `M${points.join("L")}`, "vector-effect": "non-scaling-stroke" }));
    }
    this.now = make("line", { class: "now", y1: 0, y2: 40, "vector-effect": "non-scaling-stroke" });
    svg.append(this.now);
    const seek = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = svg.getBoundingClientRect();
      this.player.go((event.clientX - box.left) / box.width * last);
    };
    svg.addEventListener("pointerdown", seek);
    svg.addEventListener("pointermove", seek);
    this.said = make("p", { class: "now-error" });
    this.figure.append(svg, this.said);
  }

  time(frame) { return (Math.min(frame, this.clip.frames - 1) + .5) / this.clip.fps; }

  shown() { return Math.floor(this.video.currentTime * this.clip.fps + 1e-6); }

  // Only the last of several seeks counts: a video that is still seeking takes the next target when it arrives.
  seek(frame) {
    this.frame = Math.min(frame, this.clip.frames - 1);
    this.wanted = this.time(frame);
    this.next();
    this.draw();
  }

  next() {
    const video = this.video;
    if (!video || video.readyState < 1 || video.seeking || this.wanted === undefined) return;
    if (Math.abs(video.currentTime - this.wanted) > 1e-3) video.currentTime = this.wanted;
    else { this.wanted = undefined; if (this.arrived) this.arrived(); }
  }

  ready(frame) {
    if (!this.video || this.video.error) return Promise.resolve();
    return new Promise((done) => {
      this.arrived = () => { this.arrived = undefined; done(); };
      setTimeout(done, 3000);
      this.seek(frame);
    });
  }

  start(speed) {
    if (!this.video) return;
    this.rate = speed;
    this.video.playbackRate = speed;
    this.video.play().catch(() => {});
    if (!this.video.requestVideoFrameCallback) return;
    this.timed = true;  // the paths then follow the picture that is shown, not the clock
    const presented = (_, { mediaTime }) => {
      if (!this.player.playing) return;
      const frame = Math.min(Math.round(mediaTime * this.clip.fps), this.clip.frames - 1);
      if (frame !== this.frame) { this.frame = frame; this.draw(); }
      this.video.requestVideoFrameCallback(presented);
    };
    this.video.requestVideoFrameCallback(presented);
  }

  follow(exact) {
    const frame = Math.min(Math.floor(exact), this.clip.frames - 1);
    if (this.video && !this.video.seeking && exact < this.clip.frames) {
      const apart = exact - this.video.currentTime * this.clip.fps;
      if (Math.abs(apart) > 1.5) this.video.currentTime = Math.min(exact, this.clip.frames - .5) / this.clip.fps;
      else this.video.playbackRate = Math.min(Math.max(this.rate * (1 + .3 * apart), .0625), 16);
    }
    if (!this.timed && frame !== this.frame) { this.frame = frame; this.draw(); }
  }

  draw() {
    const { clip, canvas, frame } = this;
    const box = this.screen.getBoundingClientRect();
    if (!box.width) return;
    const density = window.devicePixelRatio || 1;
    canvas.width = Math.round(box.width * density);
    canvas.height = Math.round(box.height * density);
    if (this.now) {
      const x = 100 * frame / Math.max(clip.frames - 1, 1);
      this.now.setAttribute("x1", x);
      this.now.setAttribute("x2", x);
      const error = clip.errors[frame];
      this.said.textContent = error === null || error === undefined ? `frame ${frame}: not scored` : `frame ${frame}: ${toraeval.number(error)} px`;
    }
    if (!this.player.overlay.checked || !clip.asked) return;
    const pen = canvas.getContext("2d");
    pen.scale(canvas.width / this.size[0], canvas.height / this.size[1]);
    const unit = this.size[0] / box.width;
    clip.asked.forEach((asked, n) => this.paths(pen, unit, asked, clip.tracked[n], clip.inside[n], clip.seen[n]));
  }

  paths(pen, unit, asked, tracked, inside, seen) {
    const { frame } = this;
    const line = (points, width, colour, alpha, dash = []) => {
      pen.beginPath();
      let down = false;
      for (const [x, y] of points) {
        if (x === null || y === null) { down = false; continue; }
        if (down) pen.lineTo(x, y); else pen.moveTo(x, y);
        down = true;
      }
      [pen.lineWidth, pen.strokeStyle, pen.globalAlpha, pen.lineJoin, pen.lineCap] = [width * unit, colour, alpha, "round", "round"];
      pen.setLineDash(dash.map((one) => one * unit));
      pen.stroke();
    };
    const dot = ([x, y], radius, colour, filled) => {
      if (x === null || y === null) return;
      pen.setLineDash([]);
      pen.globalAlpha = 1;
      pen.beginPath();
      pen.arc(x, y, radius * unit, 0, 2 * Math.PI);
      pen.lineWidth = 2 * unit;
      pen.strokeStyle = "#111";
      pen.fillStyle = filled ? colour : "transparent";
      pen.fill();
      pen.lineWidth = 3.5 * unit;
      pen.stroke();
      pen.lineWidth = 1.8 * unit;
      pen.strokeStyle = colour;
      pen.stroke();
    };
    line(asked, 4, "#111", .35);
    line(asked, 2, "#f0a500", .55);
    line(asked.slice(0, frame + 1), 4.5, "#111", .6);
    line(asked.slice(0, frame + 1), 2.5, "#f0a500", 1);
    line(tracked.slice(0, frame + 1), 4.5, "#111", .6);
    line(tracked.slice(0, frame + 1), 2.2, "#56b4e9", 1);
    const [goal, point] = [asked[frame], tracked[frame]];
    if (!goal || !point) return;
    if (inside[frame] === "1") line([goal, point], 2, "#ff5b4d", 1, [2, 4]);
    dot(goal, 5, "#f0a500", inside[frame] === "1");
    dot(point, 4.5, "#56b4e9", seen[frame] === "1");
  }
};
