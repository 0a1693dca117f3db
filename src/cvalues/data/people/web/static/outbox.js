// What a person sent stays in this browser until the server says that it has stored exactly that. It survives a lost connection, a closed
// tab and the end of a session; it belongs to one person and is sent only while that person is signed in.
import { make, notice, say } from "./say.js";

const PREFIX = "cvalues.outbox.";
const WEEK = 7 * 86400 * 1000;
const body = document.body;
export const person = body.dataset.person;
export const store = localStorage.getItem("cvalues.shared") === "yes" ? sessionStorage : localStorage;

let csrf = body.dataset.csrf;
let wait = 1000;
let timer = 0;
let running = null;
const watchers = new Set();

export function freshKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  // Without TLS a browser offers no randomUUID; the same 122 random bits by hand.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
}

export function clean(value) {
  if (typeof value === "string") {
    const whole = value.toWellFormed ? value.toWellFormed() : value;
    return whole.replaceAll("\0", "\uFFFD");
  }
  if (Array.isArray(value)) return value.map(clean);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, clean(one)]));
  return value;
}

export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value && typeof value === "object") {
    return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

async function digest(answer) {
  if (!crypto.subtle) return null;
  const sum = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(canonical(answer)));
  return "sha256:" + Array.from(new Uint8Array(sum), (one) => one.toString(16).padStart(2, "0")).join("");
}

export async function call(method, path, data, options = {}) {
  const headers = { "X-CSRF": csrf, Accept: "application/json" };
  if (data !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method, headers, body: data === undefined ? undefined : JSON.stringify(data), credentials: "same-origin", redirect: "error", ...options,
  });
  const text = await answer.text();
  let found = null;
  try { found = text ? JSON.parse(text) : null; } catch { found = null; }
  return { ok: answer.ok, status: answer.status, data: found, wait: Number(answer.headers.get("Retry-After")) || 0 };
}

export function entries(all = false) {
  const found = [];
  for (let index = 0; index < store.length; index += 1) {
    const name = store.key(index);
    if (!name.startsWith(PREFIX)) continue;
    try {
      const entry = JSON.parse(store.getItem(name));
      if (entry.at < Date.now() - WEEK) continue;
      if (all || entry.person === person) found.push(entry);
    } catch { /* another page's half-written entry is read at the next look */ }
  }
  return found.sort((left, right) => left.at - right.at);
}

function keep(entry) { store.setItem(PREFIX + entry.key, JSON.stringify(entry)); }
export function drop(key) { store.removeItem(PREFIX + key); show(); }

export function put(path, task, answer, more) {
  const key = freshKey();
  const whole = clean(answer);
  const entry = { key, person, path: `${path}/${key}`, task, at: Date.now(), body: { task, answer: whole, ...more }, trouble: "" };
  keep(entry);
  show();
  return entry;
}

// One of: stored, waiting (offline, busy, the server fails), closed (the session ended), refused (needs attention).
async function send(entry) {
  let answer;
  try { answer = await call("PUT", entry.path, entry.body); } catch { return { how: "waiting" }; }
  if (answer.ok) {
    const expected = await digest(entry.body.answer);
    if (answer.data?.digest && expected && answer.data.digest !== expected) {
      return { how: "refused", message: say("differs") };
    }
    return { how: "stored", data: answer.data };
  }
  if (answer.status === 401) return { how: "closed" };
  if (answer.status === 429 || answer.status >= 500) return { how: "waiting", wait: answer.wait * 1000 };
  if (answer.status === 403 && answer.data?.message === undefined) return { how: "waiting" };
  return { how: "refused", message: answer.data?.message ?? say("refused") };
}

export async function sendOne(entry) {
  const result = await send(entry);
  if (result.how === "stored") drop(entry.key);
  if (result.how === "refused") keep({ ...entry, trouble: result.message });
  if (result.how === "closed") askToSignIn();
  if (result.how === "waiting") later(result.wait);
  show();
  for (const watch of watchers) watch(entry, result);
  return result;
}

export function watch(act) { watchers.add(act); }

function later(least = 0) {
  clearTimeout(timer);
  timer = setTimeout(flush, Math.max(wait, least));
  wait = Math.min(wait * 2, 60000);
}

export function flush() {
  if (!person) return Promise.resolve();
  running ??= (async () => {
    for (const entry of entries()) {
      if (entry.trouble) continue;
      const { how } = await sendOne(entry);
      if (how === "waiting" || how === "closed") return;
      wait = 1000;
    }
  })().finally(() => { running = null; });
  return running;
}

export function show() {
  const mine = entries();
  const open = mine.filter((entry) => !entry.trouble).length;
  const trouble = mine.length - open;
  notice("waiting", open ? say(navigator.onLine ? "sending" : "offline", { count: open }) : "");
  notice("trouble", trouble ? say("trouble", { count: trouble }) : "", ...(trouble ? [" ", make("a", { href: "/outbox" }, say("look"))] : []));
}

// --- a session that ended while somebody was writing -------------------------------------------------------------------------

const door = document.getElementById("door");

export function askToSignIn() {
  if (door && !door.open) door.showModal();
}

document.getElementById("door-later")?.addEventListener("click", () => door.close());
document.getElementById("door-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const wrong = document.getElementById("door-wrong");
  const given = { handle: document.getElementById("door-handle").value, password: document.getElementById("door-password").value };
  let answer;
  try { answer = await call("POST", "/api/v1/session", given); } catch { wrong.textContent = say("no_connection"); return; }
  if (!answer.ok) { wrong.textContent = answer.data?.message ?? say("refused"); return; }
  if (answer.data.person !== person) { location.assign("/me"); return; }
  csrf = answer.data.csrf;
  for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = csrf;
  document.getElementById("door-password").value = "";
  door.close();
  flush();
});

addEventListener("online", () => { wait = 1000; show(); flush(); });
addEventListener("offline", show);
