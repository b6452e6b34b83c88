"use strict";
(() => {
  const board = document.getElementById("board");
  const body = board.tBodies[0];
  const headings = Array.from(board.tHead.rows[0].cells);
  const rows = Array.from(body.rows);
  const find = document.getElementById("find");
  const tasks = document.getElementById("tasks");
  const further = document.getElementById("further");
  const sort = document.getElementById("sort");
  const shown = document.getElementById("shown");

  const phone = window.matchMedia("(max-width: 44rem)");
  const fitOnPaper = 13;

  // Column -1 is the model's name; cell 0 of a row.
  const valueOf = (row, column) => {
    const text = row.cells[column + 1].dataset.value;
    return text === undefined ? null : Number(text);
  };

  const compare = (column, rising) => (one, other) => {
    if (column < 0) return one.dataset.name.localeCompare(other.dataset.name, "en") * (rising ? 1 : -1);
    const [left, right] = [valueOf(one, column), valueOf(other, column)];
    if (left === null || right === null) return (left === null) - (right === null);
    return (left - right) * (rising ? 1 : -1);
  };

  const sortBy = (column, rising) => {
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    headings[column + 1].setAttribute("aria-sort", rising ? "ascending" : "descending");
    body.append(...rows.slice().sort(compare(column, rising)));
    sort.value = String(column);
  };

  // The first click puts the best on top, the second turns the order round.
  const firstOrder = (column) => column < 0 || headings[column + 1].dataset.better === "low";

  const clicked = (column) => {
    const now = headings[column + 1].getAttribute("aria-sort");
    sortBy(column, now === null ? firstOrder(column) : now === "descending");
  };

  const columnShown = (heading) => {
    if (heading.dataset.kind !== "metric") return true;
    const [kind, name] = (tasks ? tasks.value : "").split(/:(.*)/s);
    if (kind && heading.dataset[kind] !== name) return false;
    return heading.dataset.main === "1" || !further || further.checked;
  };

  const update = () => {
    const wanted = find.value.trim().toLowerCase();
    let count = 0;
    let columns = 0;
    for (const row of rows) {
      row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
      count += row.hidden ? 0 : 1;
    }
    headings.forEach((heading, place) => {
      const hidden = place > 0 && !columnShown(heading);
      heading.hidden = hidden;
      columns += hidden ? 0 : 1;
      for (const row of rows) row.cells[place].hidden = hidden;
    });
    board.classList.toggle("stacked", phone.matches || columns > fitOnPaper);
    shown.textContent = `${count} of ${rows.length} ${rows.length === 1 ? "row" : "rows"}`;
  };

  headings.forEach((heading, place) => {
    heading.querySelector("button").addEventListener("click", () => clicked(place - 1));
  });
  sort.addEventListener("change", () => sortBy(Number(sort.value), firstOrder(Number(sort.value))));
  for (const control of [find, tasks, further]) if (control) control.addEventListener("input", update);
  phone.addEventListener("change", update);
  const controls = document.getElementById("controls");
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  update();
})();
