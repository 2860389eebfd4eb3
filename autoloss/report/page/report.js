"use strict";

// Tables sort by a column's head: ascending, descending, then as they were. Without this script the
// heads are plain text.
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function key(cell) {
  const text = cell.dataset.value ?? cell.textContent.trim().replaceAll(",", "");
  if (text === "" || text === "–") return null;
  return Number.isNaN(Number(text)) ? text : Number(text);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function sort(table, head, column) {
  const order = NEXT[head.getAttribute("aria-sort")];
  for (const other of table.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", order);
  const body = table.tBodies[0];
  table.firstOrder ??= [...body.rows];
  const rows = table.firstOrder.map((row) => [key(row.cells[column]), row]);
  if (order !== "none") {
    const sign = order === "ascending" ? 1 : -1;
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // empty ones last
      return sign * compare(a, b);
    });
  }
  body.append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table")) {
  [...table.querySelectorAll("[data-sort]")].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head, column));
    head.append(button);
    head.setAttribute("aria-sort", "none");
  });
}

// A link to runs opens them.
function open() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && document.getElementById(id);
  if (!target) return;
  if (target instanceof HTMLDetailsElement) target.open = true;
  target.scrollIntoView();
}

addEventListener("hashchange", open);
open();
