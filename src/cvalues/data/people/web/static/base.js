// On every page: the outbox, the key that hides everything, the language switch that comes back here, and leaving.
import { bind } from "./keys.js";
import { entries, flush, person, show } from "./outbox.js";
import { say } from "./say.js";

for (const field of document.querySelectorAll("[data-here]")) field.value = location.pathname;

const veil = document.getElementById("veil");
const title = document.title;

export function hide(on) {
  const covered = [document.getElementById("main"), document.querySelector("header.top")];
  veil.hidden = !on;
  document.body.classList.toggle("veiled", on);
  for (const one of covered) one.inert = on;
  document.title = on ? "CValues" : title;
  if (on) document.getElementById("unveil").focus(); else document.getElementById("main").focus({ preventScroll: true });
}

if (veil) {
  const toggle = () => hide(veil.hidden);
  bind({ p: toggle });
  document.getElementById("unveil").addEventListener("click", () => hide(false));
  for (const button of document.querySelectorAll("[data-hide]")) { button.hidden = false; button.addEventListener("click", toggle); }
}

const shared = document.querySelector("[data-shared]");
if (shared) {
  shared.checked = localStorage.getItem("cvalues.shared") === "yes";
  shared.addEventListener("change", () => localStorage.setItem("cvalues.shared", shared.checked ? "yes" : "no"));
}

for (const form of document.querySelectorAll("[data-signout]")) {
  form.addEventListener("submit", async (event) => {
    if (!entries().length) return;
    event.preventDefault();
    await flush();
    if (!entries().length || confirm(say("leave", { count: entries().length }))) form.submit();
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", () => navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim()));
}

// The guidelines stand open where there is room, until somebody shuts them.
const guide = document.getElementById("guide");
if (guide) {
  if (matchMedia("(min-width: 60rem)").matches && localStorage.getItem("cvalues.guide") !== "shut") guide.open = true;
  guide.addEventListener("toggle", () => { if (matchMedia("(min-width: 60rem)").matches) localStorage.setItem("cvalues.guide", guide.open ? "open" : "shut"); });
}

addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
if (person) { show(); flush(); }
