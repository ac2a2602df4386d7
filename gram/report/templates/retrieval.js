"use strict";
// One view at a time, filtered. Without this script all views stand one below the other.
const tools = document.querySelector(".tools");
const choose = document.getElementById("choose");
const filter = document.getElementById("filter");
const failures = document.getElementById("failures");
const count = document.getElementById("count");
const views = [...document.querySelectorAll(".view")];
const queriesOf = new Map(views.map((view) => [view, [...view.querySelectorAll(".query")]]));
const texts = new Map();

function textOf(query) {
  if (!texts.has(query)) texts.set(query, query.textContent.toLowerCase());
  return texts.get(query);
}

function update() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const view of views) {
    view.hidden = view.id !== choose.value;
    if (view.hidden) continue;
    let shown = 0;
    for (const query of queriesOf.get(view)) {
      const isWanted = !failures.checked || !query.hasAttribute("data-first");
      query.hidden = !(isWanted && words.every((word) => textOf(query).includes(word)));
      if (!query.hidden) shown += 1;
    }
    view.querySelector(".none-left").hidden = shown > 0;
    count.value = `${shown} of ${queriesOf.get(view).length} queries`;
  }
}

function fromAddress() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (views.some((view) => view.id === wanted)) choose.value = wanted;
  update();
}

function step(by) {
  const view = views.find((one) => !one.hidden);
  const shown = queriesOf.get(view).filter((query) => !query.hidden);
  const at = shown.indexOf(document.activeElement.closest(".query"));
  const next = shown[at < 0 && by < 0 ? shown.length - 1 : at + by];
  if (next) next.focus();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target.matches("input[type=search], select");
  if (event.key === "Escape" && event.target === filter) {
    filter.value = "";
    update();
  } else if (!isTyping && event.key === "/") {
    event.preventDefault();
    filter.focus();
  } else if (!isTyping && (event.key === "j" || event.key === "k")) {
    step(event.key === "j" ? 1 : -1);
  }
}

if (views.length > 0) {
  choose.addEventListener("change", () => {
    history.replaceState(null, "", `#${choose.value}`);
    update();
  });
  filter.addEventListener("input", update);
  failures.addEventListener("change", update);
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", fromAddress);
  tools.hidden = false;
  fromAddress();
}
