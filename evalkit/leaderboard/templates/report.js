"use strict";
(() => {
  const controls = document.getElementById("controls");
  const group = document.getElementById("group");
  const status = document.getElementById("status");
  const find = document.getElementById("find");
  const shown = document.getElementById("shown");
  const samples = Array.from(document.querySelectorAll(".sample"));
  const groups = Array.from(document.querySelectorAll(".group"));

  const update = () => {
    const wanted = find.value.trim().toLowerCase();
    let count = 0;
    for (const sample of samples) {
      const { group: inGroup, status: withStatus } = sample.dataset;
      const fits =
        (!group.value || group.value === inGroup) &&
        (!status.value || status.value === withStatus) &&
        sample.textContent.toLowerCase().includes(wanted);
      sample.hidden = !fits;
      count += fits ? 1 : 0;
    }
    for (const part of groups) part.hidden = !part.querySelector(".sample:not([hidden])");
    shown.textContent = `${count} of ${samples.length}`;
  };

  // One recording at a time.
  document.addEventListener(
    "play",
    (event) => {
      for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
    },
    true,
  );
  for (const control of [group, status, find]) control.addEventListener("input", update);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  update();
})();
