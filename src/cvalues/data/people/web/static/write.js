// Writing a prompt: what is like it is shown while typing, what was typed stays here, the models are asked, and the claim is sent.
import "./base.js";
import { bind } from "./keys.js";
import { call, drop, person, put, sendOne, store, watch } from "./outbox.js";
import { make, say } from "./say.js";

const write = document.getElementById("write");
const ask = document.getElementById("ask");
const claim = document.getElementById("work");

if (write) {
  const area = document.getElementById("text");
  const near = document.getElementById("near");
  const DRAFT = `cvalues.prompt.${person}.${write.dataset.campaign}`;
  if (!area.value) area.value = store.getItem(DRAFT) ?? "";
  let timer = 0;
  let asked = 0;
  const look = async () => {
    asked += 1;
    const mine = asked;
    if (area.value.trim().length < 4) { near.replaceChildren(); return; }
    let answer;
    try { answer = await call("POST", `/api/v1/near/${encodeURIComponent(write.dataset.campaign)}`, { text: area.value.slice(0, 20000) }); } catch { return; }
    if (!answer.ok || mine !== asked) return;
    near.replaceChildren(...answer.data.map((one) => make("li", {},
      make("strong", {}, say("alike", { percent: Math.round(100 * one.similarity) })), " ",
      one.own ? make("span", { class: "said" }, one.prompt) : say("of_others"))));
  };
  const typed = () => { store.setItem(DRAFT, area.value); clearTimeout(timer); timer = setTimeout(look, 500); };
  area.addEventListener("input", (event) => { if (!event.isComposing) typed(); });
  area.addEventListener("compositionend", typed);
  if (area.value) look();
  write.addEventListener("submit", (event) => {
    if (!navigator.onLine) { event.preventDefault(); document.getElementById("wrong").textContent = say("no_connection"); return; }
    store.removeItem(DRAFT);
  });
  bind({ send: () => write.requestSubmit(), t: () => area.focus() });
}

if (ask) {
  const status = document.getElementById("ask-status");
  const button = ask.querySelector("button");
  const run = async () => {
    button.disabled = true;
    status.textContent = say("asking");
    let answer;
    try { answer = await call("POST", `/api/v1/asks/${ask.dataset.task}`); } catch { answer = { ok: false, data: { message: say("no_connection") } }; }
    if (answer.ok) { location.reload(); return; }
    status.textContent = answer.data?.message ?? say("refused");
    button.disabled = false;
  };
  ask.addEventListener("submit", (event) => { event.preventDefault(); run(); });
  run();
}

if (claim) {
  const count = Number(claim.dataset.replies);
  const wrong = document.getElementById("wrong");
  const button = document.getElementById("send");
  const opened = performance.now();
  let sending = false;
  let here = 1;
  const chosen = (place) => claim.querySelector(`input[name="safe-${place}"]:checked`)?.value ?? "";
  const go = async () => {
    if (sending) return;
    const claims = [];
    for (let place = 1; place <= count; place += 1) {
      if (!chosen(place)) {
        wrong.textContent = say("each", { place });
        claim.querySelector(`input[name="safe-${place}"]`).focus();
        return;
      }
      claims.push({ position: place, safe: chosen(place), rule: claim.elements.namedItem(`rule-${place}`).value, why: claim.elements.namedItem(`why-${place}`).value });
    }
    sending = true;
    button.disabled = true;
    const spent = Math.round(performance.now() - opened);
    const entry = put("/api/v1/claims", claim.dataset.task, { claims }, { active_ms: spent, wall_ms: spent, sent: new Date().toISOString() });
    await sendOne(entry);
  };
  const done = (entry, result) => {
    if (result.how === "stored") { location.reload(); return; }
    if (result.how === "refused") { drop(entry.key); sending = false; button.disabled = false; wrong.textContent = result.message; return; }
    wrong.textContent = say("waits");
  };
  watch((entry, result) => { if (entry.task === claim.dataset.task && sending) done(entry, result); });
  claim.addEventListener("submit", (event) => { event.preventDefault(); go(); });
  const mark = () => {
    for (let place = 1; place <= count; place += 1) document.getElementById(`reply-${place}`).classList.toggle("picked", place === here);
    document.getElementById(`reply-${here}`).scrollIntoView({ block: "nearest" });
  };
  const set = (value) => () => {
    const found = claim.querySelector(`input[name="safe-${here}"][value="${value}"]`);
    found.checked = true;
    found.focus({ preventScroll: true });
    if (value !== "unsafe" && here < count) { here += 1; mark(); }
  };
  const digits = {};
  for (let place = 1; place <= count; place += 1) digits[String(place)] = () => { here = place; mark(); };
  bind({
    ...digits, send: go, s: set("safe"), d: set("unsafe"), f: set("unsure"), t: () => document.getElementById(`why-${here}`).focus(),
    " ": () => { const fold = document.getElementById("fold"); if (fold) fold.open = !fold.open; },
  });
  if (!button.disabled) mark();
}
bind({ h: () => { const guide = document.getElementById("guide"); if (guide) guide.open = !guide.open; } });
