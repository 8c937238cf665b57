// Error over time: one panel per length, models switched on and off, values of all under the pointer or the arrow keys.
"use strict";

toraeval.listeners.push((content) => {
  const place = document.querySelector(".panels");
  if (!place) return;
  const { make, number } = toraeval;
  const [width, height, left, right, top, bottom] = [400, 250, 40, 14, 14, 34];
  const hidden = new Set();
  const lengths = [...new Set(content.curves.map((curve) => curve.frames))];
  const styles = Object.fromEntries(content.models.map((model) => [model.label, model.style]));
  const style = (name) => styles[name] || "still-row";
  const words = (name) => (name === "static_reference" ? "point that never moves" : name);
  const present = new Set(content.curves.map((curve) => curve.model));
  const names = [...content.models.map((model) => model.label), "static_reference"].filter((name) => present.has(name));
  const redraw = [];

  for (const name of names) {
    const button = make("button", { type: "button", "aria-pressed": "true", class: style(name) });
    const line = make("svg", { viewBox: "0 0 26 8", "aria-hidden": "true" }, make("line", { class: "curve", x1: 0, x2: 26, y1: 4, y2: 4 }));
    button.append(line, make("bdi", {}, words(name)));
    button.addEventListener("click", () => {
      if (!hidden.delete(name)) hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      redraw.forEach((draw) => draw());
    });
    document.querySelector(".legend").append(button);
  }
  const scale = make("button", { type: "button", "aria-pressed": "false", id: "log" }, "log scale");
  let logarithmic = lengths.some((frames) => {
    const ends = content.curves.filter((curve) => curve.frames === frames).map((curve) => curve.error[curve.error.length - 1]).filter((one) => one > 0);
    return Math.max(...ends) > content.log_from * Math.min(...ends);
  });
  scale.setAttribute("aria-pressed", String(logarithmic));
  scale.addEventListener("click", () => {
    logarithmic = !logarithmic;
    scale.setAttribute("aria-pressed", String(logarithmic));
    redraw.forEach((draw) => draw());
  });
  document.querySelector(".legend").append(scale);

  const ticks = (low, high) => {
    if (logarithmic) {
      const found = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
        for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
      }
      const inside = found.filter((one) => one >= low && one <= high);
      return inside.length > 7 ? inside.filter((one) => Math.abs(Math.log10(one) % 1) < 1e-9) : inside;
    }
    const step = 10 ** Math.floor(Math.log10((high - low) / 4 || 1));
    const size = [1, 2, 5, 10].map((one) => one * step).find((one) => (high - low) / one <= 5);
    return Array.from({ length: Math.floor(high / size + 1e-9) + 1 }, (_, i) => i * size).filter((one) => one >= low);
  };

  for (const frames of lengths) {
    const all = content.curves.filter((curve) => curve.frames === frames);
    const title = frames ? `${frames} frames` : "Every clip at its own length";
    const panel = make("div", { class: "panel", tabindex: "0", role: "group", "aria-label": `Error over time, ${title}; arrow keys read values` });
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Mean error per frame, ${title}` });
    const readout = make("ul", { class: "readout", "aria-live": "polite" });
    panel.append(make("h3", {}, title), svg, readout);
    place.append(panel);
    const xs = all[0].x;
    const last = xs[xs.length - 1];
    const floor = content.floors[frames];
    let at = xs.length - 1;

    const draw = () => {
      const curves = all.filter((curve) => !hidden.has(curve.model));
      const numbers = curves.flatMap((curve) => [...curve.error, ...curve.high]).filter((one) => one !== null);
      const positive = [...curves.flatMap((curve) => curve.error), floor].filter((one) => one > 0);
      const low = logarithmic ? Math.max(Math.min(...positive, 1), 1e-3) / 1.3 : 0;
      const high = Math.max(...numbers, floor || 0, low * 2, 1e-3) * 1.05;
      const x = (value) => left + (width - left - right) * (value - xs[0]) / ((last - xs[0]) || 1);
      const share = (value) => (logarithmic ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : value / high);
      const y = (value) => height - bottom - (height - top - bottom) * share(value);
      svg.replaceChildren();
      for (const tick of ticks(low, high)) {
        svg.append(make("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }));
        svg.append(make("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, String(Number(tick.toPrecision(3)))));
      }
      const marks = frames ? [...new Set([0, .25, .5, .75, 1].map((part) => Math.round(xs[0] + part * (last - xs[0]))))] : [0, .25, .5, .75, 1];
      for (const mark of marks) {
        svg.append(make("text", { x: x(mark), y: height - bottom + 16, "text-anchor": "middle" }, String(mark)));
      }
      svg.append(make("text", { x: (left + width - right) / 2, y: height - 3, "text-anchor": "middle" }, frames ? "frame" : "share of the clip"));
      svg.append(make("text", { x: 2, y: 9 }, content.main.unit));
      if (floor) {
        svg.append(make("line", { class: "floor", x1: left, x2: width - right, y1: y(floor), y2: y(floor) }));
        svg.append(make("text", { x: width - right, y: y(floor) - 5, "text-anchor": "end" }, `tracker floor ${number(floor)}`));
      }
      for (const curve of curves) {
        const points = curve.x.map((one, i) => [x(one), curve.error[i], curve.low[i], curve.high[i]]).filter((one) => one[1] !== null);
        const band = points.filter((one) => one[2] !== null && one[3] !== null);
        const path = (list) => list.map((one) => one.map((part) => part.toFixed(1)).join(" ")).join("L");
        if (band.length > 1) svg.append(make("path", { class: `band ${style(curve.model)}`, d: `M${path(band.map((one) => [one[0], y(one[3])]))}L${path(band.reverse().map((one) => [one[0], y(one[2])]))}Z` }));
        if (points.length) svg.append(make("path", { class: `curve ${style(curve.model)}`, d: `M${path(points.map((one) => [one[0], y(one[1])]))}` }));
      }
      svg.append(make("line", { class: "cursor", x1: x(xs[at]), x2: x(xs[at]), y1: top, y2: height - bottom }));
      const here = curves.map((curve) => [curve.model, curve.error[at]]).filter((one) => one[1] !== null && one[1] !== undefined).sort((a, b) => a[1] - b[1]);
      here.forEach(([name, error]) => svg.append(make("circle", { class: `at ${style(name)}`, cx: x(xs[at]), cy: y(error), r: 4 })));
      readout.replaceChildren(make("li", {}, frames ? `frame ${xs[at]}:` : `${Math.round(100 * xs[at])} %:`), ...here.map(([name, error]) => make(
        "li", { class: style(name) }, make("i", { class: "swatch" }), make("bdi", {}, words(name)), number(error))));
    };
    redraw.push(draw);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const share = ((event.clientX - box.left) / box.width * width - left) / (width - left - right);
      const next = Math.round(Math.min(Math.max(share, 0), 1) * (xs.length - 1));
      if (next !== at) { at = next; draw(); }
    });
    panel.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -xs.length, End: xs.length }[event.key];
      if (!step) return;
      event.preventDefault();
      at = Math.min(Math.max(at + step * (event.shiftKey ? 10 : 1), 0), xs.length - 1);
      draw();
    });
    draw();
  }
});
