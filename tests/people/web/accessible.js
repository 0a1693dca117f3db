// Returns what is wrong with a page as lines of text; an empty list for nothing.
const found = [];
const where = (one) => one.tagName.toLowerCase() + (one.id ? "#" + one.id : "") + (one.className && one.className.split ? "." + one.className.split(" ")[0] : "");
const shown = (one) => one.checkVisibility({ checkOpacity: false, checkVisibilityCSS: true }) && one.getClientRects().length > 0;
const unseen = (one) => one.closest(".unseen, .jump") !== null;

if (!document.documentElement.lang) found.push("no language");
if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
if (document.querySelectorAll("main").length !== 1) found.push("not one main");
if (!document.title.trim()) found.push("no title");
const ids = Array.from(document.querySelectorAll("[id]"), (one) => one.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push("id twice: " + id);
let level = 1;
for (const one of document.querySelectorAll("main :is(h1, h2, h3, h4)")) {
  const now = Number(one.tagName[1]);
  if (now > level + 1) found.push("heading skips to " + where(one));
  level = now;
}
for (const one of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
  if (!one.labels?.length && !one.getAttribute("aria-label")) found.push("no label: " + where(one) + " " + one.name);
  for (const id of (one.getAttribute("aria-describedby") ?? "").split(" ")) if (id && !document.getElementById(id)) found.push("describedby leads nowhere: " + id);
}
for (const one of document.querySelectorAll("button, a[href], summary")) {
  if (!(one.textContent.trim() || one.getAttribute("aria-label"))) found.push("no name: " + where(one));
  if (shown(one) && !unseen(one) && getComputedStyle(one).display !== "inline") {
    const box = one.getBoundingClientRect();
    if (box.width < 24 || box.height < 24) found.push("target below 24 pixels: " + where(one) + " " + box.width.toFixed(0) + "×" + box.height.toFixed(0));
  }
}
if (document.documentElement.scrollWidth > innerWidth) found.push("scrolls sideways by " + (document.documentElement.scrollWidth - innerWidth));

function channels(colour) { return (colour.match(/[\d.]+/g) ?? []).map(Number); }
function light(parts) {
  const [red, green, blue] = parts.slice(0, 3).map((one) => { const part = one / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
function under(one) {
  for (let each = one; each; each = each.parentElement) {
    const parts = channels(getComputedStyle(each).backgroundColor);
    if (parts.length === 3 || parts[3] === 1) return parts;
  }
  return [255, 255, 255];
}
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const worst = new Map();
while (walker.nextNode()) {
  const one = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !shown(one) || unseen(one) || one.closest(":disabled, script, option, datalist")) continue;
  const style = getComputedStyle(one);
  const front = light(channels(style.color));
  const back = light(under(one));
  const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
  const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5)) worst.set(where(one), ratio.toFixed(2));
}
for (const [name, ratio] of worst) found.push("contrast " + ratio + ": " + name);

for (const one of Array.from(document.querySelectorAll("main :is(a[href], button, input:not([type=hidden]), select, textarea, summary)")).slice(0, 60)) {
  if (!shown(one) || one.disabled || one.closest("[inert]")) continue;
  one.focus({ focusVisible: true });
  if (document.activeElement !== one) continue;
  const seen = [one, one.nextElementSibling, one.closest("label")].some((each) => each && getComputedStyle(each).outlineStyle !== "none" && parseFloat(getComputedStyle(each).outlineWidth) >= 2);
  if (!seen) found.push("focus is not seen: " + where(one) + " " + (one.name ?? ""));
}
document.activeElement?.blur();
return found;
