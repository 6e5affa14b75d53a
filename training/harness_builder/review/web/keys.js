"use strict";
// What each key does; the page says the same in its help.

{
  const $ = (id) => document.getElementById(id);

  HV.keys = (app) => {
    const acts = {
      r: () => app.reveal(),
      k: () => app.decide("keep"),
      d: () => app.decide("drop"),
      f: () => app.fix(),
      x: () => app.skip(),
      u: () => app.undo(),
      t: () => app.form.cycle("text-unsafe"),
      i: () => app.form.cycle("image-harmful"),
      e: () => $("reason").focus(),
      s: () => app.look(),
      n: () => app.note(),
      "?": () => $("keys").showModal(),
    };
    for (let digit = 1; digit <= 9; digit++) acts[digit] = () => app.form.category(digit - 1);
    const behind = new Set(["u", "s", "n", "?"]); // when there is nothing more to decide
    const before = new Set(["?"]);

    addEventListener("keydown", (event) => {
      const { target, key } = event;
      if (document.querySelector("dialog[open]")) return;
      if (target.closest("input[type=text], textarea, select")) return field(app, event);
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (!acts[key] || !(app.candidate || (app.working ? behind : before).has(key))) return;
      event.preventDefault();
      acts[key]();
    });
  };

  // In a field letters are letters.
  function field(app, event) {
    const { target, key } = event;
    if (!app.candidate) return;
    if (key === "Escape" || (key === "Enter" && target.id === "reason")) {
      event.preventDefault();
      $("now").focus();
    } else if (key === "Enter" && target.id === "rewrite" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      app.decide("fix");
    }
  }
}
