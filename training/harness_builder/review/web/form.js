"use strict";
// What the reviewer says of the candidate in front of them, until it is sent.

{
  const $ = (id) => document.getElementById(id);
  const { make, theirs } = HV;
  const ANSWERS = [["yes", true], ["no", false], ["not answered", null]];

  function choices(box, name, every) {
    box.replaceChildren(...every.map(([label, value]) => {
      const radio = make("input");
      Object.assign(radio, { type: "radio", name, value: String(value) });
      return make("label", "", radio, " ", ...label);
    }));
  }

  const chosen = (id) => document.querySelector(`#${id} :checked`)?.value ?? "";

  function choose(id, value) {
    for (const radio of document.querySelectorAll(`#${id} input`)) radio.checked = radio.value === String(value);
  }

  class Form {
    constructor() {
      for (const id of ["text-unsafe", "image-harmful", "combination-risky"]) {
        choices($(id).querySelector(".choices"), id, ANSWERS.map(([word, value]) => [[word], value]));
      }
      $("as-it-was").addEventListener("click", () => {
        $("rewrite").value = this.candidate.question;
        $("editor").hidden = true;
        this.wrong("");
        $("now").focus();
      });
      $("rewrite").addEventListener("input", () => this.wrong(""));
      $("form").addEventListener("submit", (event) => event.preventDefault());
    }

    // Begin with a candidate, as it is or with what was said of it before.
    set(candidate, categories, draft) {
      this.candidate = candidate;
      this.categories = categories;
      this.since = performance.now();
      choices($("category").querySelector(".choices"), "category", categories.map((each, at) => {
        const digit = at < 9 ? [make("kbd", "", String(at + 1)), " "] : [];
        return [[...digit, theirs(each || "none")], at];
      }));
      this.category(categories.indexOf(draft?.category || candidate.category));
      choose("text-unsafe", draft?.text_unsafe ?? null);
      choose("image-harmful", draft?.image_harmful ?? null);
      choose("combination-risky", draft?.combination_risky ?? null);
      $("reason").value = draft?.reason ?? "";
      $("rewrite").value = draft?.question || candidate.question;
      $("editor").hidden = !draft?.question;
      this.wrong("");
    }

    category(at) { if (at >= 0 && at < this.categories.length) choose("category", at); }

    cycle(id) { choose(id, { true: "false", false: "null", null: "true" }[chosen(id)]); }

    edit() {
      $("editor").hidden = false;
      $("rewrite").focus();
    }

    // Why the question cannot stand as it was rewritten; empty for nothing.
    wrong(why) {
      $("rewrite-wrong").textContent = why;
      $("rewrite-wrong").hidden = !why;
      $("rewrite").setAttribute("aria-invalid", String(Boolean(why)));
      if (why) this.edit();
    }

    // What is to be changed: empty for what stays.
    get changes() {
      const category = this.categories[Number(chosen("category"))];
      const question = $("rewrite").value.trim();
      return {
        category: category === this.candidate.category ? "" : category,
        question: question === this.candidate.question.trim() ? "" : question,
      };
    }

    // Whether the reviewer said that question and images together show no risk.
    get harmless() { return chosen("combination-risky") === "false"; }

    get changed() { return Object.values(this.changes).some(Boolean); }

    said(decision) {
      return {
        key: this.candidate.key,
        decision,
        ...(decision === "fix" ? this.changes : {}),
        text_unsafe: JSON.parse(chosen("text-unsafe")),
        image_harmful: JSON.parse(chosen("image-harmful")),
        combination_risky: JSON.parse(chosen("combination-risky")),
        reason: $("reason").value.trim(),
        seconds: Math.round((performance.now() - this.since) / 100) / 10,
      };
    }
  }

  HV.Form = Form;
}
