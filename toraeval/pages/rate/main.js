// From the name to the last pair.
const { questions } = data;

function makeQuestions() {
  questions.forEach(([name, text], number) => {
    const box = document.createElement("fieldset"), title = document.createElement("legend"), row = document.createElement("div");
    title.textContent = text;
    row.className = "answers";
    ANSWERS.forEach((place, index) => {
      const label = document.createElement("label"), radio = document.createElement("input"), said = document.createElement("span");
      Object.assign(radio, { type: "radio", name, value: place });
      said.textContent = { left: "Left", same: "Same", right: "Right" }[place];
      radio.addEventListener("change", () => choose(number, index));
      label.append(radio, said);
      row.append(label);
    });
    box.append(title, row);
    byId("questions").append(box);
  });
}

function choose(number, index) {
  answer(questions[number][0], ANSWERS[index]);
  refresh();
}

function refresh() {
  const done = data.pairs.filter((pair) => answered(pair.pair)).length;
  byId("progress").textContent = `pair ${ballot.at + 1} of ${data.pairs.length}, ${done} answered`;
  byId("bar").value = done / data.pairs.length;
  byId("bar").hidden = false;
  byId("csv").hidden = !ballot.votes.size;
  for (const [name] of questions) {
    for (const radio of document.getElementsByName(name)) radio.checked = radio.value === placeOf(name);
  }
  byId("next").disabled = !answered(current().pair);
  byId("previous").disabled = ballot.at === 0;
}

async function open(at) {
  ballot.at = at;
  byId("start").hidden = byId("end").hidden = true;
  byId("pair").hidden = false;
  const pair = current(), left = leftOf(pair.pair);
  byId("prompt").textContent = pair.prompt;
  byId("said").textContent = "";
  refresh();
  try {
    await loadPair(pair, [left, other(left)].map((side) => `${pair.pair}-${side}`));
    ballot.since = performance.now();
    await togglePlay();
  } catch (error) {
    byId("said").textContent = error.message;
  }
}

function next() {
  if (byId("next").disabled) return;
  if (ballot.at + 1 >= data.pairs.length) { end(); return; }
  open(ballot.at + 1);
  keep().catch((error) => { byId("said").textContent = error.message; });
}

async function end() {
  pause();
  const open = data.pairs.filter((pair) => !answered(pair.pair)).length;
  byId("pair").hidden = true;
  byId("end").hidden = false;
  byId("end-said").textContent = "";
  try {
    await keep();
    byId("end-said").textContent = open
      ? `${open} pairs are not answered yet.`
      : data.server ? "Your votes are stored." : "Download your votes below and send the file to whoever asked you.";
  } catch (error) {
    byId("end-said").textContent = error.message;
  }
}

async function start() {
  const rater = cleaned(byId("rater").value);
  if (!rater) {
    byId("start-said").textContent = "Give a name with at least one letter or digit.";
    byId("rater").focus();
    return;
  }
  const unfinished = begin(rater);
  if (unfinished) await open(ballot.at);
  else { byId("start").hidden = true; refresh(); end(); }
}

const click = (id, work) => byId(id).addEventListener("click", work);
click("begin", start);
byId("rater").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); start(); } });
click("next", next);
click("previous", () => open(ballot.at - 1));
click("again", () => open(0));
click("csv", downloadVotes);
click("play", togglePlay);
click("back", () => { pause(); show(shown.frame - 1); });
click("forth", () => { pause(); show(shown.frame + 1); });
byId("time").addEventListener("input", (event) => { pause(); show(event.target.valueAsNumber); });
byId("overlay").addEventListener("change", drawOverlay);
byId("speed").addEventListener("change", () => { for (const video of videos) video.playbackRate = Number(byId("speed").value); });
document.addEventListener("keydown", (event) => {
  if (byId("pair").hidden || event.ctrlKey || event.metaKey || event.altKey || /SELECT|TEXTAREA/.test(event.target.tagName)) return;
  if (/^[1-6]$/.test(event.key)) choose(Math.floor((event.key - 1) / 3), (event.key - 1) % 3);
  else if (event.key === " " && !/BUTTON|INPUT/.test(event.target.tagName)) togglePlay();
  else if (event.key === "Enter" && event.target.tagName !== "BUTTON") next();
  else if (event.key === ",") { pause(); show(shown.frame - 1); } else if (event.key === ".") { pause(); show(shown.frame + 1); } else return;
  event.preventDefault();
});
makeQuestions();
