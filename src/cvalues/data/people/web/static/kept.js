// What this browser still keeps: each with its text, to be sent again, copied or thrown away.
import "./base.js";
import { drop, entries, sendOne, watch } from "./outbox.js";
import { make, say } from "./say.js";

const list = document.getElementById("kept");

function draw() {
  const mine = entries();
  list.replaceChildren(...mine.map((entry) => make("li", { class: "sheet" },
    make("p", { class: "lines-head" }, make("time", { class: "quiet" }, new Date(entry.at).toLocaleString(document.documentElement.lang)),
      make("span", { class: entry.trouble ? "wrong" : "quiet" }, entry.trouble || say("waits"))),
    make("pre", { class: "said" }, JSON.stringify(entry.body.answer, null, 1)),
    make("div", { class: "row" },
      make("button", { type: "button", onclick: async () => { await sendOne({ ...entry, trouble: "" }); draw(); } }, say("again")),
      make("button", { type: "button", onclick: () => { if (confirm(say("forget"))) { drop(entry.key); draw(); } } }, say("throw"))))));
  document.getElementById("kept-none").hidden = mine.length > 0;
}

watch(draw);
draw();
