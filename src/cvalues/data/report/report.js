"use strict";
// The language switch and the item browser. Text of models and data sets reaches the page through textContent only.
const cvaluesPage = (() => {
  const PAGE = 20;
  const FAILED = 7;
  const OPEN = 8;
  const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g;
  const FILTERS = ["q", "model", "category", "level", "set", "difficulty", "outcome", "right", "same"];

  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);
  const root = document.documentElement;
  const phrases = read("data-words");
  const index = read("data-index");
  const chunks = new Map();
  const haystacks = new Map();
  const opened = new Set();
  const items = byId("items") !== null;
  const listeners = [];
  let language = root.dataset.lang;
  let found = index.pairs.map((_, number) => number);
  let page = 0;
  let unfold = false;
  let ticket = 0;

  // ---- words and elements -------------------------------------------------------------------------------------------

  const say = (key, gaps = {}) =>
    phrases[key][language].replace(/\{(\w+)\}/g, (_, name) => (name in gaps ? String(gaps[name]) : ""));
  const count = (number) => number.toLocaleString("en-US");

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") element.addEventListener("click", value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  // Hidden and direction characters are written out, so that a text cannot hide words or turn its surroundings around.
  function put(element, text) {
    let last = 0;
    for (const match of text.matchAll(HIDDEN)) {
      element.append(text.slice(last, match.index));
      const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      element.append(make("span", { class: "control" }, "U+" + code));
      last = match.index + match[0].length;
    }
    element.append(text.slice(last));
    return element;
  }

  function prose(text, attributes = {}) {
    const element = make("div", { class: "prose", dir: "auto", ...attributes });
    if (text === null || text === undefined) return put(element, say("js.no_text"));
    if (typeof text === "string") return put(element, text === "" ? say("js.empty_text") : text);
    const [head, omitted, tail] = text;
    put(element, head);
    element.append(make("span", { class: "omitted" }, say("js.omitted", { n: count(omitted), total: count(size(text)) })));
    return put(element, tail);
  }

  // The model's text with the span marked that decided how it was read.
  function marked(text, evidence) {
    const at = typeof text === "string" && evidence ? text.indexOf(evidence) : -1;
    if (at < 0) return prose(text);
    const element = make("div", { class: "prose", dir: "auto" });
    put(element, text.slice(0, at));
    element.append(put(make("mark"), evidence));
    return put(element, text.slice(at + evidence.length));
  }

  const whole = (text) => (typeof text === "string" ? text : text ? text[0] + "\n" + text[2] : "");
  const size = (text) => (typeof text === "string" ? [...text].length : [...text[0]].length + text[1] + [...text[2]].length);

  // ---- data ---------------------------------------------------------------------------------------------------------

  function texts(number) {
    const piece = Math.floor(number / index.chunk);
    if (!chunks.has(piece)) {
      let parsed = null;
      try {
        parsed = read("data-texts-" + piece);
      } catch {
        parsed = [];
      }
      chunks.set(piece, parsed);
    }
    return chunks.get(piece)[number % index.chunk] || { q: say("js.broken"), a: [], c: [], t: [] };
  }

  function pair(number) {
    const [id, set, level, category, collection, difficulty, lang, choices, rows] = index.pairs[number];
    return { number, id, set, level, category, collection, difficulty, lang, choices, rows };
  }

  const isRight = (item, row) => row[2] < 2 && row[2] + 1 === item.choices[row[0]][1];

  // Which of the pair's two replies each order's answer names: true, false, or null when fewer than two orders name one.
  function agrees(item, model) {
    const named = item.rows.filter((row) => row[1] === model && row[2] < 2).map((row) => isRight(item, row));
    const orders = new Set(item.rows.filter((row) => row[1] === model && row[2] < 2).map((row) => row[0]));
    return orders.size < 2 ? null : named.every((value) => value === named[0]);
  }

  function haystack(number) {
    if (!haystacks.has(number)) {
      const item = index.pairs[number];
      const entry = texts(number);
      const parts = [item[0], ...item[7].map((choice) => choice[0]), whole(entry.q)];
      parts.push(...entry.a.map((reply) => whole(reply[0])), ...entry.t.map(whole));
      haystacks.set(number, parts.join("\n").toLowerCase());
    }
    return haystacks.get(number);
  }

  // ---- filters ------------------------------------------------------------------------------------------------------

  const control = (name) => byId("filter-" + name);
  const values = () => Object.fromEntries(FILTERS.map((name) => [name, control(name) ? control(name).value.trim() : ""]));

  function fits(number, filter) {
    const item = pair(number);
    if (filter.level && String(item.level) !== filter.level) return false;
    if (filter.category && index.categories[item.category].code !== filter.category) return false;
    if (filter.set && index.sets[item.set] !== filter.set) return false;
    if (filter.difficulty && index.difficulties[item.difficulty] !== filter.difficulty) return false;
    const model = filter.model ? index.models.indexOf(filter.model) : -1;
    const rows = filter.model ? item.rows.filter((row) => row[1] === model) : item.rows;
    if (filter.model && rows.length === 0) return false;
    if (filter.outcome || filter.right) {
      const wanted = (row) =>
        (!filter.outcome || index.outcomes[row[2]] === filter.outcome) &&
        (!filter.right || (row[2] < FAILED && isRight(item, row) === (filter.right === "right")));
      if (!rows.some(wanted)) return false;
    }
    if (filter.same) {
      const wanted = filter.same === "consistent";
      const models = filter.model ? [model] : [...new Set(rows.map((row) => row[1]))];
      if (!models.some((each) => agrees(item, each) === wanted)) return false;
    }
    return true;
  }

  function remember(filter) {
    const parameters = new URLSearchParams();
    for (const name of FILTERS) if (filter[name]) parameters.set(name, filter[name]);
    const hash = parameters.toString();
    history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
  }

  function apply({ keep = false } = {}) {
    const filter = values();
    if (!keep) remember(filter);
    const mine = ++ticket;
    const candidates = index.pairs.map((_, number) => number).filter((number) => fits(number, filter));
    const words = filter.q.toLowerCase().split(/\s+/).filter(Boolean);
    page = 0;
    if (words.length === 0) {
      found = candidates;
      render();
      return;
    }
    found = [];
    byId("item-count").textContent = say("js.searching");
    let start = 0;
    const step = () => {
      if (mine !== ticket) return;
      const until = performance.now() + 40;
      while (start < candidates.length && performance.now() < until) {
        const text = haystack(candidates[start]);
        if (words.every((word) => text.includes(word))) found.push(candidates[start]);
        start += 1;
      }
      if (start < candidates.length) setTimeout(step, 0);
      else render();
    };
    step();
  }

  function select(name, label, options, any) {
    const element = make("select", { id: "filter-" + name }, make("option", { value: "" }, any));
    for (const [value, text] of options) element.append(put(make("option", { value }), text));
    element.addEventListener("change", () => apply());
    return make("label", {}, make("span", {}, label), element);
  }

  function form() {
    const before = byId("filter-q") ? values() : {};
    const any = say("js.any");
    const search = make("input", { id: "filter-q", type: "search", placeholder: say("js.search"), "aria-label": say("js.search"), autocomplete: "off", spellcheck: "false" });
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(apply, 200);
    });
    const names = (list) => list.filter(Boolean).map((name) => [name, name]);
    const levels = [...new Set(index.pairs.map((item) => item[2]))].sort();
    const grid = make("div", { class: "filters" },
      select("model", say("js.model"), names(index.models), say("js.any_model")),
      select("category", say("js.category"), index.categories.map((each) => [each.code, each[language]]), any),
      select("level", say("js.level"), levels.map((level) => [String(level), say("page.level" + level)]), any),
      select("outcome", say("js.outcome"), index.outcomes.map((code) => [code, say("outcome." + code)]), any),
      select("right", say("js.right"), [["right", say("js.is_right")], ["wrong", say("js.is_wrong")]], any),
      select("same", say("js.same"), [["consistent", say("js.consistent")], ["inconsistent", say("js.inconsistent")]], any),
    );
    if (index.difficulties.filter(Boolean).length > 0)
      grid.append(select("difficulty", say("js.difficulty"), index.difficulties.filter(Boolean).map((name) => [name, difficulty(name)]), any));
    if (index.sets.length > 1) grid.append(select("set", say("js.set"), names(index.sets), any));
    const box = make("input", { type: "checkbox", id: "unfold" });
    box.checked = unfold;
    box.addEventListener("change", () => {
      unfold = box.checked;
      render();
    });
    const reset = make("button", { type: "button", id: "reset", onclick: () => restore({}) }, say("js.reset"));
    byId("item-form").replaceChildren(search, grid, make("div", { class: "row" }, make("label", { class: "check" }, box, say("js.unfold")), reset));
    for (const name of FILTERS) if (control(name) && before[name]) control(name).value = before[name];
  }

  function restore(filter) {
    for (const name of FILTERS) if (control(name)) control(name).value = filter[name] || "";
    apply();
  }

  // ---- cards --------------------------------------------------------------------------------------------------------

  const difficulty = (name) => (name === "easy" || name === "hard" ? say("js." + name) : name);

  function foldable(text, harmful, key) {
    const open = !harmful || unfold || opened.has(key);
    if (!harmful || unfold) return prose(text);
    const holder = make("div");
    const button = make("button", { type: "button", class: "fold", "aria-expanded": String(open) });
    const draw = (shown) => {
      button.textContent = shown ? say("js.hide") : say("js.show_harmful", { n: count(size(text)) });
      button.setAttribute("aria-expanded", String(shown));
      holder.replaceChildren(button, ...(shown ? [prose(text)] : []));
    };
    button.addEventListener("click", () => {
      const now = !opened.has(key);
      if (now) opened.add(key);
      else opened.delete(key);
      draw(now);
      button.focus();
    });
    draw(open);
    return holder;
  }

  // A reply is folded when its grade is unsafe, or when the set does not grade it and it is the worse one.
  function replies(item, entry) {
    const block = make("div", { class: "replies" });
    const shown = entry.c[0];
    if (!shown || shown.length < 2) return block;
    const order = item.choices[0][1] === 1 ? shown : [shown[1], shown[0]];
    order.forEach((place, position) => {
      const [text, grade] = entry.a[place];
      const head = make("h4", {}, say(position === 0 ? "js.better" : "js.worse"));
      if (grade) head.append(" ", make("span", { class: "chip grade-" + grade }, say("js.grade_" + grade)));
      const harmful = grade === "unsafe" || (!grade && position === 1);
      block.append(make("section", { class: position === 0 ? "better" : "worse" }, head, foldable(text, harmful, item.number + ":" + position)));
    });
    return block;
  }

  const heading = (choice) => say(choice[1] === 1 ? "js.better_first" : "js.better_second");

  function mark(item, row) {
    if (row[2] >= FAILED) return make("span", { class: "quiet" }, say("outcome." + index.outcomes[row[2]]));
    const right = isRight(item, row);
    const sign = right ? "✓" : "✗";
    const text = row[2] < 2 ? say(right ? "js.chose_better" : "js.chose_worse") + " · " + say("outcome." + index.outcomes[row[2]]) : say("outcome." + index.outcomes[row[2]]);
    const cell = make("span", { class: right ? "right" : "wrong" }, make("b", { "aria-hidden": "true" }, sign), " " + text);
    const rule = index.rules[row[3]];
    if (rule) cell.append(" ", put(make("span", { class: "rule" }), rule));
    return cell;
  }

  function decisions(item) {
    const head = make("tr", {}, make("th", { scope: "col" }, say("js.model")));
    for (const choice of item.choices) head.append(put(make("th", { scope: "col", title: choice[0] }), heading(choice)));
    head.append(make("th", { scope: "col" }, say("js.same")));
    const body = make("tbody");
    for (const model of [...new Set(item.rows.map((row) => row[1]))]) {
      const line = make("tr", {}, put(make("th", { scope: "row" }), index.models[model]));
      item.choices.forEach((choice, place) => {
        const cell = make("td", { "data-label": heading(choice) });
        for (const row of item.rows) if (row[1] === model && row[0] === place) cell.append(mark(item, row));
        if (!cell.firstChild) cell.append("–");
        line.append(cell);
      });
      const same = agrees(item, model);
      line.append(make("td", { "data-label": say("js.same") }, same === null ? "–" : say(same ? "js.consistent" : "js.inconsistent")));
      body.append(line);
    }
    return make("table", { class: "decisions" }, make("thead", {}, head), body);
  }

  function answer(item, entry, row, number) {
    const block = make("section", { class: "answer" });
    block.append(put(make("h4"), index.models[row[1]] + " · " + heading(item.choices[row[0]])), make("p", {}, mark(item, row)));
    const evidence = entry.e && entry.e[number];
    const failure = entry.f && entry.f[number];
    const reasoning = entry.r && entry.r[number];
    if (evidence) block.append(make("p", { class: "quiet" }, say("js.evidence") + ": ", put(make("q", { dir: "auto" }), evidence)));
    if (failure) block.append(make("p", { class: "quiet" }, say("js.failure") + ":"), prose(failure, { class: "prose mono" }));
    if (row[2] < FAILED) block.append(marked(entry.t[number], evidence));
    if (reasoning) block.append(make("p", { class: "quiet" }, say("js.reasoning") + ":"), prose(reasoning, { class: "prose faint" }));
    return block;
  }

  function answers(item, entry) {
    const told = item.rows.map((row, number) => [row, number]).filter(([row]) => row[2] !== OPEN);
    if (told.length === 0) return null;
    const details = make("details", {}, make("summary", {}, say("js.show_texts", { n: told.length })));
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1)
        details.append(...told.map(([row, number]) => answer(item, entry, row, number)));
    });
    return details;
  }

  function card(number) {
    const item = pair(number);
    const entry = texts(number);
    const category = index.categories[item.category];
    const facts = [say("page.level" + item.level), category[language], difficulty(index.difficulties[item.difficulty]), index.sets[item.set]];
    const line = put(make("p", { class: "facts" }), facts.filter(Boolean).join(" · ") + " · ");
    line.append(put(make("a", { href: "#item=" + encodeURIComponent(item.id), title: say("js.permalink") }), item.id));
    const tongue = index.languages[item.lang];
    const question = prose(entry.q, { class: "question", role: "heading", "aria-level": "3", lang: tongue || false });
    return make("article", { class: "item", tabindex: "-1", id: "pair-" + number }, line, question, replies(item, entry), decisions(item), answers(item, entry));
  }

  function render() {
    const first = page * PAGE;
    const shown = found.slice(first, first + PAGE);
    byId("item-list").replaceChildren(...shown.map(card));
    byId("item-count").textContent = shown.length
      ? say("js.shown", { first: count(first + 1), last: count(first + shown.length), n: count(found.length) })
      : say("js.nothing");
    const turn = (step) => () => {
      page += step;
      render();
      byId("item-count").focus();
      byId("item-count").scrollIntoView({ block: "start" });
    };
    byId("item-pages").replaceChildren(
      make("button", { type: "button", id: "previous", disabled: page === 0, onclick: turn(-1) }, say("js.previous")),
      make("button", { type: "button", id: "next", disabled: first + PAGE >= found.length, onclick: turn(1) }, say("js.next")),
    );
  }

  // ---- address and language -----------------------------------------------------------------------------------------

  function goto(id) {
    const place = index.pairs.findIndex((item) => item[0] === id || item[7].some((choice) => choice[0] === id));
    for (const name of FILTERS) if (control(name)) control(name).value = "";
    ticket += 1;
    found = index.pairs.map((_, number) => number);
    page = Math.max(0, Math.floor(place / PAGE));
    render();
    if (place < 0) {
      put(byId("item-count"), " " + say("js.not_found", { id }));
      byId("item-count").scrollIntoView({ block: "start" });
      return;
    }
    const target = byId("pair-" + place);
    target.classList.add("target");
    target.scrollIntoView({ block: "start" });
    target.focus({ preventScroll: true });
  }

  function follow() {
    const hash = location.hash.slice(1);
    if (!items || !hash.includes("=") || hash.startsWith("free") || hash.startsWith("r-")) return false;
    const wanted = new URLSearchParams(hash);
    if (wanted.has("item")) {
      goto(wanted.get("item"));
      return true;
    }
    for (const name of FILTERS) if (control(name)) control(name).value = wanted.get(name) || "";
    apply({ keep: true });
    byId("items").scrollIntoView({ block: "start" });
    return true;
  }

  function speak(chosen, redraw) {
    language = chosen;
    root.dataset.lang = chosen;
    root.lang = chosen === "zh" ? "zh-CN" : "en";
    for (const block of document.querySelectorAll("[data-block]")) block.hidden = block.dataset.block !== chosen;
    for (const button of document.querySelectorAll("[data-speak]"))
      button.setAttribute("aria-pressed", String(button.dataset.speak === chosen));
    document.title = phrases["title"][chosen] + " · CValues";
    if (items) {
      byId("warning").textContent = say("js.warning");
      byId("items-title").textContent = say("section.items");
      byId("item-form").setAttribute("aria-label", say("js.filters"));
      form();
      if (redraw) render();
    }
    if (redraw) for (const heard of listeners) heard();
  }

  for (const button of document.querySelectorAll("[data-speak]"))
    button.addEventListener("click", () => speak(button.dataset.speak, true));
  if (items) byId("item-form").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", follow);
  speak(language, false);
  if (!follow() && items) render();
  root.dataset.ready = "yes";
  return { byId, read, make, put, prose, whole, size, say, count, language: () => language, onSpeak: (heard) => listeners.push(heard) };
})();
