// Shared by all pages: data that arrives by script, theme, help and the keyboard. No network, no library.
"use strict";

const toraeval = {
  cases: {},
  waiting: {},
  listeners: [],
  keys: {},

  // data/<case>.js and data/index.js call these two; a page opened from a file may load scripts but not fetch.
  receive([slug, content]) {
    toraeval.cases[slug] = content;
    (toraeval.waiting[slug] || []).forEach((done) => done(content));
    delete toraeval.waiting[slug];
  },
  index(content) {
    toraeval.content = content;
    toraeval.listeners.forEach((listener) => listener(content));
  },

  load(slug) {
    if (toraeval.cases[slug]) return Promise.resolve(toraeval.cases[slug]);
    return new Promise((done, failed) => {
      if (toraeval.waiting[slug]) return void toraeval.waiting[slug].push(done);
      toraeval.waiting[slug] = [done];
      const script = document.createElement("script");
      script.src = `${document.body.dataset.root}data/${slug}.js`;
      script.onerror = () => failed(new Error(`${script.src} is missing`));
      document.head.append(script);
    });
  },

  // Text is only ever set as text: names and prompts come from anybody.
  make(tag, attributes = {}, ...children) {
    const svg = ["svg", "path", "line", "circle", "text", "g", "rect"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  },

  number(value) {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
  },

  unit() {
    const unit = toraeval.content ? toraeval.content.main.unit : "";
    return unit ? ` ${unit}` : "";
  },
};

(() => {
  const root = document.documentElement;
  const remembered = () => {
    try { return localStorage.getItem("toraeval-theme"); } catch { return null; }
  };
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  if (remembered()) root.dataset.theme = remembered();

  const turn = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("toraeval-theme", root.dataset.theme); } catch { /* a private window forgets */ }
    document.getElementById("theme").setAttribute("aria-pressed", String(isDark()));
    document.dispatchEvent(new Event("theme"));
  };

  toraeval.keys.d = turn;
  toraeval.keys["?"] = () => document.getElementById("help").showModal();

  document.addEventListener("keydown", (event) => {
    const on = event.target;
    const typing = on.matches("input:not([type=range]):not([type=checkbox]), select, textarea");
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (typing || (event.key === " " && on.matches("button, summary, a, [type=checkbox]"))) return;
    if (on.matches(".wide, .panel") && /^(Arrow|Home|End| )/.test(event.key)) return;
    const act = toraeval.keys[event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });

  document.addEventListener("DOMContentLoaded", () => {
    const theme = document.getElementById("theme");
    theme.setAttribute("aria-pressed", String(isDark()));
    theme.addEventListener("click", turn);
    document.getElementById("help-open").addEventListener("click", toraeval.keys["?"]);
    const links = [...document.querySelectorAll(".contents a[href^='#']")];
    if (!links.length) return;
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        links.forEach((link) => link.classList.toggle("here", link.hash === `#${entry.target.id}`));
      }
    }, { rootMargin: "-10% 0px -75% 0px" });
    document.querySelectorAll("main > section[id]").forEach((section) => seen.observe(section));
  });
})();
