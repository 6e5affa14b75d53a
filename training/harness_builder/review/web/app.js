"use strict";
// The page: who reviews, one candidate after the other, and what was said last.

{
  const $ = (id) => document.getElementById(id);
  const DONE = { keep: "Kept.", drop: "Dropped.", fix: "Kept with your fix." };
  const READ = "harness-review-begun";

  class App {
    constructor() {
      this.form = new HV.Form();
      this.settings = new HV.Settings((categories) => this.leaveOut(categories));
      this.state = null;
      this.working = false;
      this.revealed = false;
      this.shown = "";
      this.listen();
      const name = new URLSearchParams(location.search).get("reviewer") || "";
      $("name").value = name;
      if (name) this.enter(name);
      else this.welcome();
    }

    get candidate() { return this.working ? this.state.candidate : null; }

    // One change at a time: a key pressed twice must not decide two candidates.
    async ask(asked, said = "") {
      if (this.busy) return;
      this.busy = true;
      try {
        this.take(await asked(), said);
      } catch (error) {
        if (error.field === "question") this.form.wrong(error.message);
        this.warn(error.field ? "Not kept: the question cannot stand so." : error.message);
        if (error.overtaken) await this.again();
      } finally {
        this.busy = false;
      }
    }

    change(what, fields, said) {
      return this.ask(() => HV.change(what, { reviewer: this.state.reviewer, ...fields }), said);
    }

    // Another page of this reviewer was quicker: go on from where things are.
    async again() {
      try {
        this.take(await HV.desk(this.state.reviewer), "This was decided elsewhere; here is the next one.");
      } catch (error) {
        this.tell(error.message);
      }
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
      HV.blur(true);
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

    tell(text, kind = "") {
      const place = $(this.working ? "said" : "name-help");
      if (!text && !this.working) return;
      place.textContent = text;
      place.className = kind || "dim";
    }

    warn(text) { this.tell(text, "warn"); }

    reveal() {
      this.revealed = !this.revealed;
      HV.blur(!this.revealed);
    }

    decide(decision) {
      const made = decision === "drop" ? "drop" : this.form.changed ? "fix" : decision;
      if (made !== "drop") {
        const gone = this.candidate.images.some((image) => image.why);
        if (gone) return this.warn("An image cannot be seen: drop this one or skip it.");
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

    look() { $("look").showModal(); }

    note() { $("note").showModal(); }

    // The note comes first, then a name, then how it is to look; a reload within a session goes straight on.
    welcome() {
      $("start").hidden = false;
      $("who").hidden = Boolean(this.state);
      $("begin").hidden = !this.state;
      (this.state ? $("begin").querySelector(".main") : $("name")).focus();
      $("open-note").hidden = true;
    }

    async enter(name) {
      await this.ask(() => HV.desk(name));
      if (this.state) {
        history.replaceState(null, "", `?${new URLSearchParams({ reviewer: this.state.reviewer })}`);
        if (begun() === this.state.reviewer) return this.begin();
      }
      return this.welcome();
    }

    begin() {
      try { sessionStorage.setItem(READ, this.state.reviewer); } catch { /* the note is shown again */ }
      this.working = true;
      $("note-there").append($("note-text"));
      $("settings-there").append($("settings"));
      $("start").hidden = true;
      for (const id of ["work", "open-look", "open-note"]) $(id).hidden = false;
      this.take(this.state, "");
    }

    listen() {
      const on = (id, act) => $(id).addEventListener("click", act);
      on("reveal", () => this.reveal());
      on("keep", () => this.decide("keep"));
      on("drop", () => this.decide("drop"));
      on("fix", () => this.fix());
      on("skip", () => this.skip());
      on("undo", () => this.undo());
      on("open-look", () => this.look());
      on("open-note", () => this.note());
      on("help", () => $("keys").showModal());
      $("who").addEventListener("submit", (event) => { event.preventDefault(); this.enter($("name").value); });
      $("begin").addEventListener("submit", (event) => { event.preventDefault(); this.begin(); });
      HV.keys(this);
    }
  }

  function begun() {
    try { return sessionStorage.getItem(READ); } catch { return null; }
  }

  HV.app = new App();
}
