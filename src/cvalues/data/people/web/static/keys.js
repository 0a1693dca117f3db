// Keys that act at once. None of them acts in a text field, with a modifier, while held down, or while an input method composes.
let composedAt = -1000;
addEventListener("compositionend", () => { composedAt = performance.now(); }, true);

const WRITES = new Set(["text", "password", "search", "email", "number", "url", "tel"]);

export function composing(event) {
  return event.isComposing || event.keyCode === 229 || performance.now() - composedAt < 30;
}

function writing(target) {
  return target.tagName === "TEXTAREA" || target.tagName === "SELECT" || target.isContentEditable
    || (target.tagName === "INPUT" && WRITES.has(target.type));
}

export const off = () => localStorage.getItem("cvalues.keys") === "off";

const bound = new Map();

export function bind(map) {
  for (const [key, act] of Object.entries(map)) bound.set(key, act);
}

addEventListener("keydown", (event) => {
  if (composing(event)) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (bound.has("send") && !event.repeat && !document.querySelector("dialog[open]")) { event.preventDefault(); bound.get("send")(event); }
    return;
  }
  if (event.key === "Escape" && writing(event.target)) { event.target.blur(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || off() || writing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === " " && event.target !== document.body && event.target.id !== "main") return;
  const veiled = document.body.classList.contains("veiled");
  if (veiled && key !== "p") return;
  if (bound.has(key)) { event.preventDefault(); bound.get(key)(event); }
});

for (const box of document.querySelectorAll("[data-keys-off]")) {
  box.checked = off();
  box.addEventListener("change", () => {
    if (box.checked) localStorage.setItem("cvalues.keys", "off"); else localStorage.removeItem("cvalues.keys");
  });
}
