"use strict";
// How images look, kept in this browser; and, where a page has them, the categories to leave out, kept with the
// reviewer's answers.

{
  const $ = (id) => document.getElementById(id);
  const { make, theirs } = HV;
  const LOOKS = { blur: "strong", stays: "none", grey: "no" };

  const kept = (name) => {
    try { return localStorage.getItem(`harness-review-${name}`) || LOOKS[name]; } catch { return LOOKS[name]; }
  };

  function keep(name, value) {
    document.documentElement.dataset[name] = value;
    try { localStorage.setItem(`harness-review-${name}`, value); } catch { /* it holds for this page */ }
  }

  class Settings {
    // changed(categories) is told which ones to leave out from now on.
    constructor(changed = null) {
      for (const name of Object.keys(LOOKS)) keep(name, kept(name));
      const { blur, stays, grey } = document.documentElement.dataset;
      $("blur").value = blur;
      $("stays").value = stays;
      $("grey").checked = grey === "yes";
      for (const name of ["blur", "stays"]) $(name).addEventListener("change", () => keep(name, $(name).value));
      $("grey").addEventListener("change", () => keep("grey", $("grey").checked ? "yes" : "no"));
      if (changed) $("out").addEventListener("change", () => changed(this.out));
    }

    get out() { return [...$("out").querySelectorAll(":checked")].map((box) => box.value); }

    // The categories there are, and those that are left out.
    offer(categories, out) {
      if ($("out").childElementCount !== categories.length) {
        $("out").replaceChildren(...categories.map((category) => {
          const box = make("input");
          Object.assign(box, { type: "checkbox", value: category });
          return make("label", "", box, " ", theirs(category || "none"));
        }));
      }
      for (const box of $("out").querySelectorAll("input")) box.checked = out.includes(box.value);
    }
  }

  HV.Settings = Settings;
}
