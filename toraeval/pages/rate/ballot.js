// Who votes, in which order the pairs come, what is on the left, and the answers so far.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const ANSWERS = ["left", "same", "right"];
const ballot = { rater: "", order: [], at: 0, votes: new Map(), unsent: new Set(), since: 0 };

// A number that a text always gives: the same person finds the same order and sides again.
function lot(text) {
  let hash = 2166136261;
  for (const letter of text) hash = Math.imul(hash ^ letter.codePointAt(0), 16777619);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const cleaned = (text) => text.trim().replace(/\s+/g, " ").replace(/[^\p{L}\p{N}_ .-]/gu, "_").slice(0, 60).replace(/^[ ._-]+|[ ._-]+$/g, "");
const memory = () => `toraeval-rate-${data.session}-${ballot.rater}`;
const leftOf = (pair) => (lot(`${data.session}/${ballot.rater}/${pair}/left`) % 2 ? "x" : "y");
const other = (side) => (side === "x" ? "y" : "x");
const current = () => data.pairs[ballot.order[ballot.at]];
const votesOf = (pair) => data.questions.map(([question]) => ballot.votes.get(`${pair}/${question}`)).filter(Boolean);
const answered = (pair) => votesOf(pair).length === data.questions.length;

function begin(rater) {
  ballot.rater = rater;
  const places = data.pairs.map((pair, index) => [lot(`${data.session}/${rater}/${pair.pair}/order`), index]);
  ballot.order = places.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((place) => place[1]);
  ballot.votes = new Map();
  try {
    for (const vote of JSON.parse(localStorage.getItem(memory()) || "[]")) ballot.votes.set(`${vote.pair}/${vote.question}`, vote);
    ballot.unsent = new Set(ballot.votes.keys()); // the server keeps one of each
  } catch { /* storage is off or damaged: start anew */ }
  const open = ballot.order.findIndex((index) => !answered(data.pairs[index].pair));
  ballot.at = Math.max(0, open);
  return open >= 0;
}

function answer(question, place) {
  const pair = current().pair, left = leftOf(pair);
  const said = { left, right: other(left), same: "same" }[place];
  const seconds = Math.round((performance.now() - ballot.since) / 100) / 10;
  ballot.votes.set(`${pair}/${question}`, { session: data.session, rater: ballot.rater, pair, question, answer: said, left, seconds });
  ballot.unsent.add(`${pair}/${question}`);
  try {
    localStorage.setItem(memory(), JSON.stringify([...ballot.votes.values()]));
  } catch { /* the votes can still be downloaded */ }
}

function placeOf(question) {
  const vote = ballot.votes.get(`${current().pair}/${question}`);
  return vote && (vote.answer === "same" ? "same" : vote.answer === vote.left ? "left" : "right");
}

// Send the server what it has not got yet; what cannot be sent now goes along the next time.
async function keep() {
  const open = [...ballot.unsent].map((asked) => ballot.votes.get(asked));
  if (!data.server || !open.length) return;
  const headers = { "Content-Type": "application/json" };
  let sent;
  try {
    sent = await fetch("vote", { method: "POST", headers, body: JSON.stringify(open) });
  } catch {
    throw new Error("The server of this page has ended. Your votes are kept in this browser: download them below.");
  }
  if (!sent.ok) throw new Error((await sent.json()).error);
  for (const vote of open) if (ballot.votes.get(`${vote.pair}/${vote.question}`) === vote) ballot.unsent.delete(`${vote.pair}/${vote.question}`);
}

function downloadVotes() {
  const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replace(/"/g, '""')}"` : value);
  const rows = [...ballot.votes.values()].map((vote) => data.columns.map((name) => cell(vote[name])).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${data.columns.join(",")}\n${rows.join("\n")}\n`], { type: "text/csv" }));
  link.download = `votes-${ballot.rater.replace(/[^\p{L}\p{N}]+/gu, "_")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
