"use strict";
// The page: who reviews, one candidate after the other, and what was said last.

{
  const $ = (id) => document.getElementById(id);
  const DONE = { keep: "Kept.", drop: "Dropped.", fix: "Kept with your fix." };

  class App extends HV.Desk {
    constructor() {
      super();
      this.form = new HV.Form();
      this.settings = new HV.Settings((categories) => this.leaveOut(categories));
      this.pictures = new HV.Pictures($("images"));
      this.images = { show: "Reveal", blur: "Blur" };
      this.listen();
      this.start();
    }

    get candidate() { return this.working ? this.state.candidate : null; }

    refused(error) {
      if (error.field === "question") this.form.wrong(error.message);
      this.warn(error.field ? "Not kept: the question cannot stand so." : error.message);
    }

    take(state, said) {
      this.state = state;
      this.settings.offer(state.categories, state.out);
      this.count();
      if (!this.working) return;
      const { candidate } = state;
      for (const id of ["reveal", "keep", "drop", "fix", "skip"]) $(id).disabled = !candidate;
      $("undo").disabled = !state.last;
      $("candidate").hidden = !candidate;
      $("end").hidden = Boolean(candidate);
      HV.drawLast(state.last);
      if (candidate) this.number();
      if (candidate && (candidate.key !== this.shown || state.draft)) this.show(candidate);
      if (!candidate) this.finish();
      this.tell(said);
    }

    count() {
      const { reviewer, total, decided, skipped, left_out, open } = this.state;
      const parts = [`${decided} decided`, `${open} to go`];
      if (skipped) parts.push(`${skipped} skipped`);
      if (left_out) parts.push(`${left_out} left out`);
      $("about").textContent = `${reviewer}: ${parts.join(", ")}`;
      $("progress").hidden = false;
      $("progress").max = Math.max(1, total - left_out - skipped);
      $("progress").value = decided;
    }

    number() {
      const { total, left_out, open } = this.state;
      $("now").textContent = `Candidate ${total - left_out - open + 1} of ${total - left_out}`;
    }

    show(candidate) {
      this.shown = candidate.key;
      this.revealed = false;
      HV.draw(candidate);
      this.pictures.show(candidate.images.map((image) => ({ ...image, name: image.object })));
      this.pictures.ahead([]);
      this.blur(true);
      this.form.set(candidate, this.state.categories, this.state.draft);
      $("now").focus({ preventScroll: true });
      scrollTo(0, 0);
    }

    finish() {
      this.shown = "";
      const { skipped, left_out, then } = this.state;
      $("then").hidden = !then;
      $("then-command").textContent = then;
      const rest = [skipped && `${skipped} skipped`, left_out && `${left_out} left out by category`].filter(Boolean);
      $("end-text").textContent = rest.length ? `Not decided: ${rest.join(", ")}.` : "All candidates are decided.";
      $("end-title").focus();
    }

    decide(decision) {
      const made = decision === "drop" ? "drop" : this.form.changed ? "fix" : decision;
      if (made !== "drop") {
        const gone = this.candidate.images.some((image) => image.why);
        if (gone) return this.warn("An image cannot be seen: drop this one or skip it.");
        if (this.form.harmless) return this.warn("You said that the combination shows no risk: drop this one, or change that answer.");
        if (!this.revealed) return this.warn("Reveal the images first (r), or drop or skip without looking.");
      }
      if (made === "fix" && !this.form.changed) return this.warn("Nothing is changed yet: rewrite the question or choose a category.");
      return this.change("answer", this.form.said(made), DONE[made]);
    }

    fix() { return this.form.changed ? this.decide("fix") : this.form.edit(); }

    skip() { return this.change("skip", { key: this.candidate.key }, "Skipped."); }

    undo() {
      if (!this.state.last) return this.warn("There is nothing to take back.");
      return this.change("undo", { key: this.state.last.key }, "Taken back: decide again.");
    }

    leaveOut(categories) { return this.change("out", { categories }, ""); }

    listen() {
      const on = (id, act) => $(id).addEventListener("click", act);
      on("reveal", () => this.reveal());
      on("keep", () => this.decide("keep"));
      on("drop", () => this.decide("drop"));
      on("fix", () => this.fix());
      on("skip", () => this.skip());
      on("undo", () => this.undo());
      this.keys();
    }

    // What each key does; the page says the same in its help.
    keys() {
      const acts = {
        r: () => this.reveal(),
        y: () => this.decide("keep"),
        d: () => this.decide("drop"),
        f: () => this.fix(),
        x: () => this.skip(),
        u: () => this.undo(),
        t: () => this.form.cycle("text-unsafe"),
        i: () => this.form.cycle("image-harmful"),
        b: () => this.form.cycle("combination-risky"),
        c: () => { $("criteria").open = !$("criteria").open; },
        e: () => $("reason").focus(),
        s: () => this.look(),
        n: () => this.note(),
        "?": () => $("keys").showModal(),
      };
      for (let digit = 1; digit <= 9; digit++) acts[digit] = () => this.form.category(digit - 1);
      const behind = new Set(["u", "s", "n", "?"]); // when there is nothing more to decide
      const before = new Set(["?"]);
      HV.keys(acts, (key) => this.candidate || (this.working ? behind : before).has(key), (event) => this.field(event));
    }

    // In a field letters are letters.
    field(event) {
      const { target, key } = event;
      if (!this.candidate) return;
      if (key === "Escape" || (key === "Enter" && target.id === "reason")) {
        event.preventDefault();
        $("now").focus();
      } else if (key === "Enter" && target.id === "rewrite" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.decide("fix");
      }
    }
  }

  HV.app = new App();
}
