"use strict";
// Every column heading becomes a button that sorts its table; without JavaScript the tables stay as they are written.
const said = document.getElementById("said");

function key(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = text.replace(/−/g, "-").replace(/,(?=\d{3})/g, "").match(/^[+-]?\d+(\.\d+)?/);
  return { text, number: number ? Number(number[0]) : null };
}

function compare(a, b) {
  if (a.number !== null && b.number !== null && a.number !== b.number) return a.number - b.number;
  if ((a.number === null) !== (b.number === null)) return a.number === null ? 1 : -1; // numbers before words
  return a.text.localeCompare(b.text, "en", { numeric: true });
}

function sort(heading) {
  const table = heading.closest("table"), body = table.tBodies[0];
  const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => [key(row, heading.cellIndex), row]);
  const empty = ([k]) => k.text === "";
  rows.sort((a, b) => empty(a) - empty(b) || sign * compare(a[0], b[0])); // empty cells stay last
  body.append(...rows.map(([, row]) => row));
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", order);
  said.textContent = `${table.caption.textContent.trim()}: sorted by ${heading.textContent.trim()}, ${order}`;
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(heading));
  }
}

// A box that is narrower than its table or plot says so, also when it is opened or the window changes.
const boxes = new ResizeObserver((seen) => {
  for (const { target } of seen) target.classList.toggle("wide", target.scrollWidth > target.clientWidth);
});
for (const box of document.querySelectorAll(".box, .forest")) boxes.observe(box);

// Paper shows what is folded on the screen.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
