// The page of one case: its player, and the neighbours by key.
"use strict";

(() => {
  const stage = document.getElementById("stage");
  toraeval.player = new toraeval.Player(stage.querySelector(".player"));
  const follow = (rel) => () => {
    const link = document.querySelector(`a[rel=${rel}]`);
    if (link) location.href = link.href;
  };
  Object.assign(toraeval.keys, { n: follow("next"), p: follow("prev") });
  document.addEventListener("DOMContentLoaded", () => toraeval.load(stage.dataset.case).then((content) => toraeval.player.show(content)));
})();
