"use strict";
// What each key does; the page says the same in its help.

{
  const $ = (id) => document.getElementById(id);

  HV.keys = (app) => {
    addEventListener("keydown", (event) => {
      const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
      if (event.key === "Escape" && !$("keys").open) {
        event.preventDefault(); // a search field would lose its words
        if (typing) typing.blur();
        app.back();
        return;
      }
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const act = acts(app, event.target.closest("#reading"))[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
  };

  // In the reading pane the arrows scroll; elsewhere they move in the list.
  function acts(app, reading) {
    const { list } = app;
    const step = (by) => () => app.choose(list.step(by));
    const moves = { ArrowDown: step(1), ArrowUp: step(-1), PageDown: step(list.page), PageUp: step(-list.page) };
    const ends = { Home: step(-Infinity), End: step(Infinity) };
    return {
      ...(reading ? {} : { ...moves, ...ends }),
      j: step(1),
      k: step(-1),
      r: () => app.toggle(),
      e: () => document.querySelector("#reading .unfold")?.click(),
      m: () => $("raw").click(),
      p: () => app.showPrompt(),
      "/": () => {
        document.body.classList.remove("reading");
        $("q").focus();
        $("q").select();
      },
      n: () => app.choose(app.pairs ? list.after((n) => app.pairs.update().flips[n]) : undefined),
      d: () => app.choose(list.after((n) => app.run.disagree[n] === 1)),
      a: () => $("agreement").click(),
      "?": () => $("keys").showModal(),
    };
  }
}
