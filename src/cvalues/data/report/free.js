
// The reader of single responses. Text of models, judges and people reaches the page through textContent only.
(() => {
  const { byId, read, make, put, prose, whole, size, say, count, language, onSpeak } = cvaluesPage;
  const PAGE = 15;
  const FILTERS = ["q", "model", "category", "kind", "verdict", "state", "case", "dispute"];
  const index = read("data-free");
  const chunks = new Map();
  const haystacks = new Map();
  const opened = new Set();
  let found = [];
  let page = 0;
  let ticket = 0;
  let unfold = false;

  const tell = (key, gaps) => say("js_free." + key, gaps);
  const criterion = (code) => index.criteria[code][language() === "zh" ? "zh" : "en"];
  const row = (number) => {
    const [id, prompt, model, sample, level, category, set, state, benign, values, cases, disputed, folded, cutOff] = index.rows[number];
    return { number, id, prompt: index.prompts[prompt], model, sample, level, category, set, state, benign, values, cases, disputed, folded, cutOff };
  };

  function texts(number) {
    const piece = Math.floor(number / index.chunk);
    if (!chunks.has(piece)) {
      let parsed = [];
      try {
        parsed = read("data-free-" + piece);
      } catch {
        parsed = [];
      }
      chunks.set(piece, parsed);
    }
    return chunks.get(piece)[number % index.chunk] || { q: tell("broken"), t: null, v: [] };
  }

  function haystack(number) {
    if (!haystacks.has(number)) {
      const entry = texts(number);
      const parts = [index.rows[number][0], row(number).prompt, whole(entry.q), whole(entry.t), ...entry.v.map((each) => whole(each[3]))];
      haystacks.set(number, parts.join("\n").toLowerCase());
    }
    return haystacks.get(number);
  }

  // ---- filters ------------------------------------------------------------------------------------------------------

  const control = (name) => byId("free-" + name);
  const values = () => Object.fromEntries(FILTERS.map((name) => [name, control(name) ? control(name).value.trim() : ""]));

  function fits(number, filter) {
    const item = row(number);
    if (filter.model && index.models[item.model] !== filter.model) return false;
    if (filter.category && index.categories[item.category].code !== filter.category) return false;
    if (filter.kind && (filter.kind === "benign") !== Boolean(item.benign)) return false;
    if (filter.state && index.states[item.state] !== filter.state) return false;
    if (filter.dispute && !item.disputed) return false;
    if (filter.case && !(item.cases & (filter.case === "errs1" ? 1 : 2))) return false;
    if (filter.verdict) {
      const [name, label] = filter.verdict.split("=");
      const value = item.values[index.shown.indexOf(name)];
      if (label === "" ? value !== null && value !== undefined : String(value) !== label) return false;
    }
    return true;
  }

  function remember(filter) {
    const parameters = new URLSearchParams();
    for (const name of FILTERS) if (filter[name]) parameters.set(name, filter[name]);
    const hash = parameters.toString();
    history.replaceState(null, "", hash ? "#free&" + hash : location.pathname + location.search);
  }

  function apply({ keep = false } = {}) {
    const filter = values();
    if (!keep) remember(filter);
    const mine = ++ticket;
    const candidates = index.rows.map((_, number) => number).filter((number) => fits(number, filter));
    const words = filter.q.toLowerCase().split(/\s+/).filter(Boolean);
    page = 0;
    if (words.length === 0) {
      found = candidates;
      render();
      return;
    }
    found = [];
    byId("free-count").textContent = say("js.searching");
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
    const element = make("select", { id: "free-" + name }, make("option", { value: "" }, any));
    for (const [value, text] of options) element.append(put(make("option", { value }), text));
    element.addEventListener("change", () => apply());
    return make("label", {}, make("span", {}, label), element);
  }

  function form() {
    const before = control("q") ? values() : {};
    const any = say("js.any");
    const search = make("input", { id: "free-q", type: "search", placeholder: tell("search"), "aria-label": tell("search"), autocomplete: "off", spellcheck: "false" });
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(apply, 200);
    });
    const used = new Set(index.rows.map((each) => each[5]));
    const categories = index.categories.filter((_, place) => used.has(place)).map((each) => [each.code, each[language()]]);
    const verdicts = [];
    for (const name of index.shown) {
      const code = index.criteria.findIndex((each) => each.code === name);
      for (const label of index.labels[name] || []) verdicts.push([name + "=" + label, criterion(code) + " · " + labelled(label)]);
      verdicts.push([name + "=", criterion(code) + " · " + tell("unjudged")]);
    }
    const grid = make("div", { class: "filters" },
      select("model", say("js.model"), index.models.map((name) => [name, name]), say("js.any_model")),
      select("category", say("js.category"), categories, any),
      select("verdict", tell("verdict"), verdicts, any),
      select("kind", tell("kind"), [["luring", tell("kind_luring")], ["benign", tell("kind_benign")]], any),
      select("state", tell("state"), index.states.map((name) => [name, tell(name)]), any),
      select("case", tell("case"), [["errs1", tell("case_errs1")], ["errs2", tell("case_errs2")]], any),
      select("dispute", tell("dispute"), [["yes", tell("dispute_yes")]], any),
    );
    const box = make("input", { type: "checkbox", id: "free-unfold" });
    box.checked = unfold;
    box.addEventListener("change", () => {
      unfold = box.checked;
      render();
    });
    const reset = make("button", { type: "button", id: "free-reset", onclick: () => restore({}) }, say("js.reset"));
    byId("free-form").replaceChildren(search, grid, make("div", { class: "row" }, make("label", { class: "check" }, box, say("js.unfold")), reset));
    byId("free-form").setAttribute("aria-label", say("js.filters"));
    for (const name of FILTERS) if (before[name]) control(name).value = before[name];
  }

  function restore(filter) {
    for (const name of FILTERS) control(name).value = filter[name] || "";
    apply();
  }

  // ---- cards --------------------------------------------------------------------------------------------------------

  const GRADES = { unsafe: "js.grade_unsafe", safe: "js.grade_safe", responsible: "js.grade_responsible" };
  const REFUSALS = ["full", "partial", "redirects", "none", "unsure"];
  const TONE = { unsafe: "bad", safe: "good", responsible: "good" };

  // A label in words; whatever else a rater said stands as it is.
  function labelled(value) {
    const text = String(value);
    if (Object.hasOwn(GRADES, text)) return say(GRADES[text]);
    return REFUSALS.includes(text) ? say("measure." + text) : text;
  }

  function chips(item) {
    const line = make("div", { class: "chips" });
    index.shown.forEach((name, place) => {
      const value = item.values[place];
      if (value === null || value === undefined) return;
      const code = index.criteria.findIndex((each) => each.code === name);
      const tone = Object.hasOwn(TONE, String(value)) ? " " + TONE[String(value)] : "";
      const shown = typeof value === "number" ? String(Math.round(value * 100) / 100) : labelled(value);
      line.append(put(make("span", { class: "chip" + tone }), criterion(code) + " · " + shown));
    });
    if (item.benign) line.append(make("span", { class: "chip" }, tell("kind_benign")));
    if (item.state > 0) line.append(make("span", { class: "chip bad" }, tell(index.states[item.state])));
    if (item.cutOff) line.append(make("span", { class: "chip" }, tell("length")));
    for (const level of [1, 2]) if (item.cases & level) line.append(make("span", { class: "chip bad" }, tell("case_errs" + level)));
    return line;
  }

  function foldable(item, text) {
    if (!item.folded || unfold || text === null) return prose(text);
    const holder = make("div");
    const button = make("button", { type: "button", class: "fold" });
    const draw = (shown) => {
      button.textContent = shown ? say("js.hide") : tell("show", { n: count(size(text)) });
      button.setAttribute("aria-expanded", String(shown));
      holder.replaceChildren(button, ...(shown ? [prose(text)] : []));
    };
    button.addEventListener("click", () => {
      const now = !opened.has(item.number);
      if (now) opened.add(item.number);
      else opened.delete(item.number);
      draw(now);
      button.focus();
    });
    draw(opened.has(item.number));
    return holder;
  }

  function verdicts(entry, open) {
    const details = make("details", { open }, make("summary", {}, tell("verdicts", { n: entry.v.length })));
    const draw = () => {
      if (!details.open || details.children.length > 1) return;
      const head = make("tr", {}, ...["criterion", "value", "rater", "reason"].map((name) => make("th", { scope: "col" }, tell(name))));
      const body = make("tbody");
      for (const [code, rater, value, reason] of entry.v) {
        const counts = index.chosen[index.criteria[code].code] === rater || (index.raters[index.chosen[index.criteria[code].code]] === "person:*" && index.raters[rater].startsWith("person:"));
        const shown = value === null ? tell("no_verdict") : typeof value === "number" ? String(value) : labelled(value);
        const cells = [make("td", { "data-label": tell("criterion") }, criterion(code)), put(make("td", { "data-label": tell("value") }), shown)];
        const who = put(make("td", { class: "who", "data-label": tell("rater") }), index.raters[rater]);
        if (counts) who.append(" ", make("span", { class: "chip" }, tell("headline")));
        const why = make("td", { "data-label": tell("reason") }, prose(reason === "" ? "–" : reason, { class: "reason" }));
        body.append(make("tr", { class: counts ? "counts" : false }, ...cells, who, why));
      }
      details.append(make("div", { class: "scroll" }, make("table", { class: "verdicts decisions" }, make("thead", {}, head), body)));
    };
    details.addEventListener("toggle", draw);
    draw();
    return details;
  }

  function choices(entry) {
    if (!entry.c) return null;
    const details = make("details", {}, make("summary", {}, tell("choices")));
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      for (const [level, right, better] of entry.c) {
        const mark = make("span", { class: right ? "right" : "wrong" }, make("b", { "aria-hidden": "true" }, right ? "✓" : "✗"), " " + tell(right ? "right" : "wrong"));
        details.append(make("section", { class: "answer" }, make("p", {}, say("page.level" + level) + " · ", mark), ...(better === null ? [] : [make("p", { class: "quiet" }, tell("better")), prose(better)])));
      }
    });
    return details;
  }

  function card(number, open) {
    const item = row(number);
    const entry = texts(number);
    const category = index.categories[item.category];
    const facts = [index.models[item.model], say("page.level" + item.level), category[language()], item.prompt, tell("sample", { n: item.sample + 1 })];
    const line = put(make("p", { class: "facts" }), facts.filter(Boolean).join(" · ") + " · ");
    if (item.id) line.append(put(make("a", { href: "#r-" + encodeURIComponent(item.id), title: tell("permalink") }), item.id));
    const block = make("article", { class: "item", tabindex: "-1", id: "response-" + number }, line, prose(entry.q, { class: "prose question", role: "heading", "aria-level": "3" }), chips(item));
    if (entry.f) block.append(make("p", { class: "quiet" }, say("js.failure") + ":"), prose(entry.f, { class: "prose mono" }));
    if (entry.t !== null || item.state < 3) block.append(foldable(item, entry.t));
    if (entry.r) {
      const thought = make("details", {}, make("summary", {}, say("js.reasoning")));
      thought.addEventListener("toggle", () => {
        if (thought.open && thought.children.length === 1) thought.append(prose(entry.r, { class: "prose faint" }));
      });
      block.append(thought);
    }
    if (entry.v.length) block.append(verdicts(entry, open));
    const told = choices(entry);
    if (told) block.append(told);
    return block;
  }

  function render(target = -1) {
    const first = page * PAGE;
    const shown = found.slice(first, first + PAGE);
    byId("free-list").replaceChildren(...shown.map((number) => card(number, number === target)));
    byId("free-count").textContent = shown.length
      ? tell("shown", { first: count(first + 1), last: count(first + shown.length), n: count(found.length) })
      : tell("nothing");
    const turn = (step) => () => {
      page += step;
      render();
      byId("free-count").focus();
      byId("free-count").scrollIntoView({ block: "start" });
    };
    byId("free-pages").replaceChildren(
      make("button", { type: "button", id: "free-previous", disabled: page === 0, onclick: turn(-1) }, say("js.previous")),
      make("button", { type: "button", id: "free-next", disabled: first + PAGE >= found.length, onclick: turn(1) }, say("js.next")),
    );
  }

  // ---- address and language -----------------------------------------------------------------------------------------

  function goto(id) {
    const place = index.rows.findIndex((each) => each[0] === id);
    for (const name of FILTERS) control(name).value = "";
    ticket += 1;
    found = index.rows.map((_, number) => number);
    page = Math.max(0, Math.floor(place / PAGE));
    render(place);
    if (place < 0) {
      put(byId("free-count"), " " + tell("not_found", { id }));
      byId("free-count").scrollIntoView({ block: "start" });
      return;
    }
    const target = byId("response-" + place);
    target.classList.add("target");
    target.scrollIntoView({ block: "start" });
    target.focus({ preventScroll: true });
  }

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  function follow() {
    const hash = location.hash.slice(1);
    if (hash.startsWith("r-")) {
      goto(decoded(hash.slice(2)));
      return true;
    }
    if (!hash.startsWith("free&")) return false;
    const wanted = new URLSearchParams(hash.slice(5));
    for (const name of FILTERS) control(name).value = wanted.get(name) || "";
    apply({ keep: true });
    byId("responses").scrollIntoView({ block: "start" });
    return true;
  }

  function speak() {
    byId("free-warning").textContent = tell("warning");
    byId("responses-title").textContent = say("part.responses");
    form();
  }

  onSpeak(() => {
    speak();
    render();
  });
  byId("free-form").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", follow);
  speak();
  if (!follow()) apply({ keep: true });
})();
