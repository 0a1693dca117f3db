// A task: choose, write, send. The answer goes to the outbox first and the next task is shown when the server has stored it.
import "./base.js";
import { bind, composing } from "./keys.js";
import { call, clean, entries, drop, person, put, sendOne, store, watch } from "./outbox.js";
import { make, notice, say } from "./say.js";

const form = document.getElementById("work");
const { task, campaign, kind, criterion, duty } = form.dataset;
const before = JSON.parse(document.getElementById("before").textContent);
const DRAFT = `cvalues.draft.${person}.${task}.${form.dataset.rev}`;
const wrong = document.getElementById("wrong");
const saved = document.getElementById("saved");
const button = document.getElementById("send");
const next = `/${duty}/${encodeURIComponent(campaign)}`;
const field = (name) => form.elements.namedItem(name);
const chosen = (name) => form.querySelector(`input[name="${name}"]:checked`)?.value ?? "";
const ticked = (name) => Array.from(form.querySelectorAll(`input[name="${name}"]:checked`), (one) => one.value);
const text = (name) => field(name)?.value ?? "";
let touched = false;
let sending = false;

// --- the answer ----------------------------------------------------------------------------------------------------------------

function answer() {
  if (kind === "adjudicate" || kind === "review") {
    const value = chosen("value");
    const ambiguous = value === "ambiguous";
    const plain = kind === "adjudicate" && criterion !== "safe" && value ? Number(value) : value || null;
    return { value: ambiguous ? null : plain, ambiguous, rationale: text("rationale"), error: text("error") };
  }
  const opinion = text("opinion");
  const points = chosen("points") ? Number(chosen("points")) : null;
  if (criterion === "safe") return { safe: chosen("safe"), reasons: ticked("reasons"), opinion };
  if (criterion === "points") return { points, opinion };
  const from = text("from_reply");
  return {
    best: ticked("best").map(Number).sort((left, right) => left - right), points, opinion, answer: text("answer"), source: text("source"),
    from_reply: from ? Number(from) : null, criteria: ticked("criteria"),
  };
}

function fill(given) {
  if (!given) return;
  const check = (name, value) => {
    const found = Array.from(form.querySelectorAll(`input[name="${name}"]`)).find((one) => one.value === String(value));
    if (found) found.checked = true;
  };
  for (const name of ["safe", "points"]) if (given[name] !== undefined && given[name] !== null) check(name, given[name]);
  if (given.ambiguous) check("value", "ambiguous"); else if (given.value !== undefined && given.value !== null) check("value", given.value);
  for (const name of ["reasons", "best", "criteria"]) for (const value of given[name] ?? []) check(name, value);
  if (given.none || (given.best && !given.best.length && given.points)) check("none", "1");
  for (const name of ["opinion", "answer", "source", "from_reply", "rationale", "error"]) {
    if (given[name] !== undefined && given[name] !== null && field(name)) field(name).value = String(given[name]);
  }
}

function missing() {
  const given = answer();
  if (kind === "review") {
    if (!given.value) return ["choose", "value"];
    return given.value === "return" && !given.rationale.trim() ? ["say_why", "rationale"] : null;
  }
  if (kind === "adjudicate") {
    if (given.value === null && !given.ambiguous) return ["choose", "value"];
    return given.ambiguous && !given.rationale.trim() ? ["say_why", "rationale"] : null;
  }
  if (criterion === "safe") {
    if (!given.safe) return ["choose", "safe"];
    if (given.safe === "unsafe" && !given.reasons.length && !given.opinion.trim()) return ["tick_reason", "reasons"];
    return given.safe === "unsure" && !given.opinion.trim() ? ["say_why", "opinion"] : null;
  }
  if (criterion === "points") {
    if (given.points === null) return ["score", "points"];
    return (given.points <= 4 || given.points >= 9) && !given.opinion.trim() ? ["say_why", "opinion"] : null;
  }
  if (!given.best.length && !field("none").checked) return ["best", "best"];
  if (given.points === null) return ["score", "points"];
  if (needed() && !given.opinion.trim()) return ["say_why", "opinion"];
  return needed() && !given.answer.trim() ? ["own_answer", "answer"] : null;
}

function needed() {
  const points = Number(chosen("points") || 10);
  return criterion === "points_best_of" && (points < Number(form.dataset.rewrite) || Boolean(field("none")?.checked));
}

function refresh() {
  form.dataset.chosen = chosen("safe") || chosen("value");
  for (const one of document.querySelectorAll("[data-needed]")) one.hidden = !needed();
  const points = Number(chosen("points"));
  for (const one of document.querySelectorAll("[data-anchor]")) one.classList.toggle("near", points > 0 && Math.abs(Number(one.dataset.anchor) - points) < 1);
  for (const one of document.querySelectorAll(".reply")) {
    one.classList.toggle("picked", ticked("best").includes(one.id.slice(6)));
  }
}

// --- time and signs of life ------------------------------------------------------------------------------------------------------

const opened = performance.now();
let active = 0;
let seen = performance.now();
let moved = performance.now();
let revealed = false;

function tally() {
  const now = performance.now();
  if (document.visibilityState === "visible" && now - moved < 60000 && !document.body.classList.contains("veiled")) active += now - seen;
  seen = now;
}
setInterval(tally, 1000);
for (const name of ["keydown", "pointermove", "pointerdown", "wheel", "touchstart"]) addEventListener(name, () => { moved = performance.now(); }, { passive: true });
document.addEventListener("visibilitychange", tally);

function beat(opening) {
  if (sending || (!opening && (document.visibilityState !== "visible" || performance.now() - moved > 60000))) return;
  call("POST", `/api/v1/heartbeats/${task}`, { opened: opening, revealed }).catch(() => {});
}
if (!("decided" in form.dataset)) { beat(true); setInterval(() => beat(false), 60000); }

const fold = document.getElementById("fold");
fold?.addEventListener("toggle", () => { if (fold.open && !revealed) { revealed = true; beat(true); } });

function rest() {
  const most = Number(form.dataset.break) * 60000;
  const worked = Number(sessionStorage.getItem("cvalues.worked") ?? 0) + active;
  if (most > 0 && worked > most) {
    sessionStorage.setItem("cvalues.worked", "0");
    document.getElementById("rest")?.showModal();
  }
}
document.getElementById("rest-on")?.addEventListener("click", () => document.getElementById("rest").close());
setInterval(rest, 15000);

// --- drafts ------------------------------------------------------------------------------------------------------------------------

let timer = 0;
function draft() { return { at: Date.now(), ...clean(answer()), none: Boolean(field("none")?.checked) }; }

async function keepDraft() {
  clearTimeout(timer);
  if (sending || !touched) return;
  const body = draft();
  // A choice alone is kept here; the server keeps what took time to write.
  if ("decided" in form.dataset || !["opinion", "answer", "rationale"].some((name) => text(name))) return;
  try {
    const found = await call("PUT", `/api/v1/drafts/${task}`, { body, revision: body.at });
    saved.textContent = found.ok ? say("saved") : say("saved_here");
  } catch { saved.textContent = say("saved_here"); }
}

form.addEventListener("input", () => {
  touched = true;
  refresh();
  wrong.textContent = "";
  store.setItem(DRAFT, JSON.stringify(draft()));
  clearTimeout(timer);
  timer = setTimeout(keepDraft, 1500);
});
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") keepDraft(); });
addEventListener("pagehide", () => {
  if (sending || touched || duty !== "work" || form.dataset.rev !== "0") return;
  call("POST", `/api/v1/releases/${task}`, undefined, { keepalive: true }).catch(() => {});
});

// --- sending -----------------------------------------------------------------------------------------------------------------------

const PATHS = { adjudicate: "/api/v1/decisions", review: "/api/v1/decisions" };

async function go() {
  if (sending) return;
  const lacks = missing();
  if (lacks) {
    wrong.textContent = say(lacks[0]);
    const where = form.querySelector(`[name="${lacks[1]}"]`);
    where?.focus();
    return;
  }
  sending = true;
  button.disabled = true;
  tally();
  const more = { active_ms: Math.round(active), wall_ms: Math.round(performance.now() - opened), sent: new Date().toISOString() };
  const entry = put(PATHS[kind] ?? "/api/v1/answers", task, answer(), more);
  saved.textContent = say("sends");
  await sendOne(entry);
}

function done(entry, result) {
  if (result.how === "stored") {
    store.removeItem(DRAFT);
    sessionStorage.setItem("cvalues.worked", String(Number(sessionStorage.getItem("cvalues.worked") ?? 0) + active));
    if (kind === "adjudicate") { location.assign(`/decided/${task}`); return; }
    sessionStorage.setItem("cvalues.last", JSON.stringify({ task, campaign }));
    if (result.data?.feedback) feedback(result.data.feedback); else location.assign(next);
    return;
  }
  if (result.how === "refused") {
    drop(entry.key);
    sending = false;
    button.disabled = false;
    saved.textContent = "";
    wrong.textContent = result.message;
    return;
  }
  saved.textContent = say("waits");
}

watch((entry, result) => {
  if (entry.task === task && sending) done(entry, result);
});

function feedback(given) {
  const box = document.getElementById("feedback");
  document.getElementById("feedback-title").textContent = say(given.right ? "right" : "not_right");
  document.getElementById("feedback-value").textContent = say("gold", { value: words(given.value) });
  document.getElementById("feedback-reason").textContent = given.reason ?? "";
  box.addEventListener("close", () => location.assign(next));
  document.getElementById("feedback-on").addEventListener("click", () => box.close());
  box.showModal();
}

function words(value) { return typeof value === "string" ? say(`safe_${value}`) : String(value); }

form.addEventListener("submit", (event) => { event.preventDefault(); go(); });
for (const one of document.querySelectorAll("#skip form")) {
  one.addEventListener("submit", (event) => {
    if (!navigator.onLine) { event.preventDefault(); notice("skip", say("no_connection")); return; }
    sending = true;
    store.removeItem(DRAFT);
  });
}

// --- experts -------------------------------------------------------------------------------------------------------------------------

field("none")?.addEventListener("change", () => {
  if (field("none").checked) for (const one of form.querySelectorAll('input[name="best"]')) one.checked = false;
});
for (const one of form.querySelectorAll('input[name="best"]')) one.addEventListener("change", () => { if (one.checked) field("none").checked = false; });
for (const row of form.querySelectorAll("[data-take]")) row.hidden = false;
for (const one of form.querySelectorAll("[data-from]")) {
  one.addEventListener("click", () => {
    field("answer").value = document.querySelector(`#reply-${one.dataset.from} .text`).textContent;
    field("from_reply").value = one.dataset.from;
    field("source").value = "use";
    form.dispatchEvent(new Event("input", { bubbles: true }));
    field("answer").focus();
  });
}
field("answer")?.addEventListener("input", () => {
  const from = text("from_reply");
  if (!text("answer")) { field("from_reply").value = ""; field("source").value = ""; }
  else if (!from) field("source").value = "own";
  else field("source").value = document.querySelector(`#reply-${from} .text`).textContent === text("answer") ? "use" : "edit";
  document.getElementById("source-help").textContent = text("source") ? say(`source_${text("source")}`, { place: from }) : "";
});

// --- keys ----------------------------------------------------------------------------------------------------------------------------

function pick(name, value) {
  return (event) => {
    const found = Array.from(form.querySelectorAll(`input[name="${name}"]`)).find((one) => one.value === String(value));
    if (!found) return;
    if (found.type === "radio" && found.checked && !event.repeat) { go(); return; }
    if (found.type === "checkbox") found.checked = !found.checked; else found.checked = true;
    found.dispatchEvent(new Event("change", { bubbles: true }));
    form.dispatchEvent(new Event("input", { bubbles: true }));
    found.focus({ preventScroll: true });
  };
}
const opens = (id) => () => {
  const found = document.getElementById(id);
  if (!found) return;
  found.open = !found.open;
  if (found.open) (found.querySelector("input[type=radio]") ?? found.querySelector("summary") ?? found).focus();
};
const focuses = (id) => () => document.getElementById(id)?.focus();
const keys = {
  send: go, h: opens("guide"), k: opens("skip"), "?": opens("keys"), t: focuses(kind === "adjudicate" || kind === "review" ? "rationale" : "opinion"),
  o: focuses("answer"), " ": () => { if (fold) fold.open = !fold.open; }, u: undo, n: () => document.querySelector("[data-next]")?.click(),
};
if (kind === "review") Object.assign(keys, { s: pick("value", "approve"), d: pick("value", "return") });
else if (kind === "adjudicate") Object.assign(keys, { s: pick("value", "safe"), d: pick("value", "unsafe"), f: pick("value", "ambiguous") });
else if (criterion === "safe") Object.assign(keys, { s: pick("safe", "safe"), d: pick("safe", "unsafe"), f: pick("safe", "unsure") });
else if (criterion === "points_best_of") Object.assign(keys, { q: pick("best", 1), w: pick("best", 2), e: pick("best", 3), r: pick("none", 1) });
if (criterion === "safe" && kind !== "adjudicate") {
  Array.from(form.querySelectorAll('input[name="reasons"]')).forEach((one, index) => { keys[String(index + 1)] = pick("reasons", one.value); });
} else if (criterion !== "safe" && kind !== "review") {
  const name = kind === "adjudicate" ? "value" : "points";
  for (let value = 1; value <= 10; value += 1) keys[String(value % 10)] = pick(name, value);
}
bind(keys);

function undo() {
  const last = JSON.parse(sessionStorage.getItem("cvalues.last") ?? "null");
  if (last) location.assign(`/again/${encodeURIComponent(last.task)}`);
}

// --- at the beginning ------------------------------------------------------------------------------------------------------------------

const local = JSON.parse(store.getItem(DRAFT) ?? "null");
const server = before.draft;
const newest = local && (!server || (local.at ?? 0) >= (server.at ?? 0)) ? local : server;
fill(newest ?? before.previous);
if (newest) { touched = true; saved.textContent = say("restored"); }
refresh();

const last = JSON.parse(sessionStorage.getItem("cvalues.last") ?? "null");
if (last && last.task !== task) {
  const link = make("a", { href: `/again/${encodeURIComponent(last.task)}` }, say("undo"), " ", make("kbd", {}, "U"));
  notice("sent", say("sent"), " ", link);
}

// This very task may have been answered already, offline or in a tab that was closed before the answer came through.
const waiting = entries().find((entry) => entry.task === task && !entry.trouble && !("decided" in form.dataset));
if (waiting) {
  sending = true;
  button.disabled = true;
  saved.textContent = say("waits");
}
addEventListener("keydown", (event) => { if (event.key === "Enter" && composing(event)) event.stopPropagation(); }, true);
