// The table: sorting by any column, filters by model, length and family, hidden groups of columns.
"use strict";

(() => {
  const table = document.getElementById("results");
  const form = document.getElementById("table-filters");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const whole = new Map();

  const value = (row, column) => {
    const cell = row.cells[column];
    if (column === 0) return row.dataset.model;
    return cell.dataset.sort === undefined ? (cell.textContent || null) : Number(cell.dataset.sort);
  };

  function order(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  }

  function sort(column, descending) {
    const sorted = [...rows].sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      return x === null || y === null ? order(x, y) : (descending ? -1 : 1) * order(x, y);
    });
    body.append(...sorted);
    heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? (descending ? "descending" : "ascending") : "none"));
    lines();
  }

  function lines() {
    let former = null;
    const byLength = heads.every((head) => head.getAttribute("aria-sort") === "none") || heads[1].getAttribute("aria-sort") !== "none";
    for (const row of [...body.rows].filter((one) => !one.hidden)) {
      row.classList.toggle("shift", byLength && former !== null && former !== row.dataset.frames);
      former = row.dataset.frames;
    }
  }

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    sort(column, head.getAttribute("aria-sort") === "ascending");
  }));

  const show = (cell, text, below, number) => {
    cell.replaceChildren(text);
    if (below) cell.append(toraeval.make("small", {}, below));
    if (number === null) delete cell.dataset.sort; else cell.dataset.sort = number;
  };

  function ofFamily(name) {
    for (const row of rows) {
      const found = name ? ((toraeval.content.families[row.dataset.row] || {})[name] || {}) : null;
      for (const cell of row.querySelectorAll("td[data-key]")) {
        if (cell.classList.contains("text")) continue;
        if (!whole.has(cell)) whole.set(cell, [cell.innerHTML, cell.dataset.sort, cell.className]);
        const [html, sorted, classes] = whole.get(cell);
        if (found === null) {
          cell.innerHTML = html;
          cell.className = classes;
          if (sorted === undefined) delete cell.dataset.sort; else cell.dataset.sort = sorted;
        } else {
          cell.classList.remove("best", "near");
          show(cell, ...(found[cell.dataset.key] || ["–", "", null]));
        }
      }
    }
    table.classList.toggle("of-family", Boolean(name));
  }

  function apply(event) {
    const chosen = new FormData(form);
    let count = 0;
    if (event && event.target.name === "family") ofFamily(chosen.get("family"));
    for (const row of rows) {
      row.hidden = Boolean((chosen.get("model") && row.dataset.model !== chosen.get("model"))
        || (chosen.get("frames") && row.dataset.frames !== chosen.get("frames")));
      count += !row.hidden;
    }
    for (const box of form.querySelectorAll("[name=set]")) table.classList.toggle(`show-${box.value}`, box.checked);
    document.getElementById("table-count").textContent = count < rows.length || chosen.get("family")
      ? `${count} of ${rows.length} rows${chosen.get("family") ? `, means over the family ${chosen.get("family")} without intervals` : ""}.` : "";
    lines();
  }

  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("pageshow", () => { form.reset(); apply(); });
  body.addEventListener("click", (event) => {
    const button = event.target.closest(".to-cases");
    if (!button) return;
    const row = button.closest("tr");
    document.dispatchEvent(new CustomEvent("cases-of", { detail: { model: row.dataset.model, frames: row.dataset.frames } }));
  });
  lines();
})();
