// Words of the scripts in the page's language, and small tools for elements. Text only ever enters a page as textContent.
const words = JSON.parse(document.getElementById("said").textContent);

export function say(key, values = {}) {
  let text = words[key] ?? key;
  for (const [name, value] of Object.entries(values)) text = text.replaceAll(`{${name}}`, String(value));
  return text;
}

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

export function notice(id, text, ...more) {
  const box = document.getElementById("notices");
  box.querySelector(`[data-notice="${id}"]`)?.remove();
  if (text) box.append(make("p", { class: `notice notice-${id}`, "data-notice": id }, text, ...more));
}
