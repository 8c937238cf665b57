// The list of cases, worst first, and the player beside it.
"use strict";

toraeval.listeners.push((content) => {
  const list = document.getElementById("cases");
  if (!list) return;
  const { make, number } = toraeval;
  const form = document.getElementById("case-filters");
  const stage = document.getElementById("stage");
  const player = new toraeval.Player(stage.querySelector(".player"));
  toraeval.player = player;
  const bySlug = Object.fromEntries(content.cases.map((one) => [one.slug, one]));
  const sign = content.main.direction === "higher" ? 1 : -1;
  let listed = [];
  let current = null;

  async function open(slug, keep) {
    const one = bySlug[slug];
    if (!one) return;
    current = slug;
    for (const button of list.querySelectorAll("button")) button.setAttribute("aria-current", String(button.dataset.slug === slug));
    stage.querySelector(".name").replaceChildren(make("bdi", {}, one.case), one.frames ? ` · ${one.frames} frames` : "");
    stage.querySelector(".prompt").textContent = one.prompt;
    stage.querySelector(".open").href = `cases/${slug}.html`;
    if (!keep) history.replaceState(null, "", `#case=${slug}`);
    const loaded = await toraeval.load(slug);
    if (current === slug) player.show(loaded);
  }

  function fill() {
    const chosen = Object.fromEntries(new FormData(form));
    const words = (chosen.text || "").toLowerCase();
    const value = (one) => (chosen.model ? one.values[chosen.model] : one.value);
    listed = content.cases.filter((one) => (!chosen.frames || String(one.frames) === chosen.frames)
      && (!chosen.family || one.family === chosen.family)
      && (!chosen.model || chosen.model in one.values)
      && (!words || `${one.case} ${one.prompt}`.toLowerCase().includes(words)));
    const known = (one) => value(one) !== null && value(one) !== undefined;
    listed.sort((a, b) => known(b) - known(a) || (known(a) ? sign * (value(a) - value(b)) : 0));
    list.replaceChildren(...listed.map((one) => {
      const button = make("button", { type: "button", "data-slug": one.slug, "aria-current": String(one.slug === current) });
      button.append(make("bdi", { class: "id" }, one.case), make("span", { class: "num" }, known(one) ? number(value(one)) + toraeval.unit() : "–"));
      const told = [one.frames ? `${one.frames} frames` : "", one.family, one.failed ? `${one.failed} failed` : ""].filter(Boolean).join(" · ");
      if (told) button.append(make("span", { class: "sub" }, told));
      return make("li", {}, button);
    }));
    document.getElementById("case-count").textContent = `${listed.length} of ${content.cases.length} cases`;
  }

  const neighbour = (by) => {
    const index = listed.findIndex((one) => one.slug === current) + by;
    if (!listed[index]) return;
    open(listed[index].slug);
    list.children[index].querySelector("button").scrollIntoView({ block: "nearest" });
  };

  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) open(button.dataset.slug);
  });
  form.addEventListener("input", fill);
  form.addEventListener("submit", (event) => event.preventDefault());
  Object.assign(toraeval.keys, {
    n: () => neighbour(1),
    p: () => neighbour(-1),
    "/": () => form.elements.text.focus(),
  });
  document.addEventListener("cases-of", ({ detail }) => {
    form.elements.model.value = detail.model;
    if (form.elements.frames) form.elements.frames.value = detail.frames;
    fill();
    if (listed.length) open(listed[0].slug, true);
    document.getElementById("gallery").scrollIntoView();
  });
  const asked = () => (location.hash.startsWith("#case=") ? decodeURIComponent(location.hash.slice(6)) : "");
  window.addEventListener("hashchange", () => asked() && open(asked(), true));
  form.reset();
  fill();
  const first = bySlug[asked()] ? asked() : listed.length ? listed[0].slug : "";
  open(first, true);
  if (asked()) document.getElementById("gallery").scrollIntoView();
});
