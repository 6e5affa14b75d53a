"use strict";
// The page: who labels, one answer after the other, and what was said last.

{
  const $ = (id) => document.getElementById(id);

  // Seconds of work on one answer: neither pauses nor time in another tab count.
  class Clock {
    constructor() {
      document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.go()));
      this.begin();
    }

    begin() { Object.assign(this, { spent: 0, since: null, paused: false }); this.go(); }

    go() { if (!this.paused && !document.hidden && this.since === null) this.since = performance.now(); }

    stop() { if (this.since !== null) { this.spent += performance.now() - this.since; this.since = null; } }

    pause(paused) {
      this.paused = paused;
      if (paused) this.stop();
      else this.go();
    }

    get seconds() {
      const running = this.since === null ? 0 : performance.now() - this.since;
      return Math.round((this.spent + running) / 100) / 10;
    }
  }

  class App extends HV.Desk {
    constructor() {
      super();
      this.settings = new HV.Settings();
      this.pictures = new HV.Pictures($("images"));
      this.clock = new Clock();
      this.guidelines = {};
      this.images = { show: "Show images", blur: "Blur images" };
      this.listen();
      this.start();
    }

    get item() { return this.working && !this.state.paused ? this.state.item : null; }

    take(state, said) {
      this.state = state;
      Object.assign(this.guidelines, state.guidelines ?? {});
      this.count();
      if (!this.working) return;
      const { item, paused } = state;
      const resting = Boolean(item && paused);
      this.clock.pause(resting);
      for (const id of ["reveal", "next", "skip", "pause"]) $(id).disabled = !item || resting;
      $("undo").disabled = !state.last || resting;
      $("item").hidden = !item || resting;
      $("resting").hidden = !resting;
      $("end").hidden = Boolean(item);
      $("labels").hidden = !item || resting;
      $("open-guideline").hidden = !item;
      HV.drawLast(resting ? null : state.last, resting ? null : state.before);
      HV.drawSplits(state.splits);
      if (item) this.show(item, state.draft);
      if (resting) this.rest();
      if (!item) this.finish();
      this.tell(said);
    }

    count() {
      const { reviewer, total, done, skipped, open } = this.state;
      const parts = [`${done} labelled`, `${open} to go`];
      if (skipped) parts.push(`${skipped} skipped`);
      $("about").textContent = `${reviewer}: ${parts.join(", ")}`;
      $("progress").hidden = false;
      $("progress").max = Math.max(1, total - skipped);
      $("progress").value = done;
    }

    show(item, draft) {
      $("now").textContent = `Answer ${this.state.total - this.state.open + 1} of ${this.state.total}`;
      if (item.key === this.shown && !draft) return;
      this.shown = item.key;
      this.revealed = false;
      this.lost = ""; // the reason that a skip would lose, once that was said
      HV.drawItem(item);
      this.pictures.show(item.images);
      this.blur(true);
      $("reason").value = draft?.reason ?? "";
      this.choose(item.labels.findIndex((each) => each.label === draft?.label));
      this.clock.begin();
      $("now").focus({ preventScroll: true });
      scrollTo(0, 0);
      this.ahead = this.lookAhead();
    }

    // The images of the answer after this one are loaded while this one is read.
    async lookAhead() {
      try {
        const { images } = await HV.view("ahead", this.state.reviewer);
        await this.pictures.ahead(images);
      } catch { /* they are loaded when they are shown */ }
    }

    rest() {
      this.blur(true);
      this.revealed = false;
      $("resting-title").focus();
    }

    finish() {
      this.shown = "";
      const { skipped } = this.state;
      $("end-text").textContent = skipped ? `Not labelled: ${skipped} skipped.` : "All answers are labelled.";
      $("end-title").focus();
    }

    choose(at) {
      for (const radio of $("labels").querySelectorAll("input")) radio.checked = radio.value === String(at);
      this.tellChosen();
      if (at >= 0) this.tell("");
    }

    tellChosen() {
      const chosen = $("labels").querySelector(":checked");
      const label = chosen && this.state.item.labels[Number(chosen.value)].label;
      HV.fill($("chosen"), label ? `Chosen: ${label}` : "Nothing chosen yet");
    }

    digit(at) {
      if (at < this.item.labels.length) return this.choose(at);
      return this.warn(`There are ${this.item.labels.length} labels.`);
    }

    next() {
      const { item } = this;
      if (item.gone) return this.warn("An image cannot be seen: skip this one (s).");
      const chosen = $("labels").querySelector(":checked");
      if (!chosen) return this.warn("Choose a label first (its digit), or skip (s).");
      const { label } = item.labels[Number(chosen.value)];
      const said = { key: item.key, label, reason: $("reason").value.trim(), seconds: this.clock.seconds };
      return this.change("answer", said, `Kept: ${label}`);
    }

    skip() {
      const reason = $("reason").value.trim();
      if (reason && this.lost !== reason) {
        this.lost = reason;
        return this.warn("A skip keeps no reason, and you have typed one. Choose a label, or skip again (s) without it.");
      }
      return this.leave();
    }

    leave() { return this.change("skip", { key: this.item.key }, "Skipped."); }

    undo() {
      const { last } = this.state;
      if (!last) return this.warn("There is nothing to take back.");
      const said = last.label !== null && last.seen
        ? "Taken back. You have seen the judge's label, so your first one counts if you label it again: skip (s) to withdraw it."
        : "Taken back: label it again, or skip it.";
      return this.change("undo", { key: last.key }, said);
    }

    // The server ends with its answer, and may be gone before it is heard.
    async end() {
      try { await HV.change("finish", { reviewer: this.state.reviewer }); } catch (error) {
        if (error.refused) return this.warn(error.message);
      }
      this.ended = true;
      this.working = false;
      for (const element of document.querySelectorAll("#work .bar, #item, #resting, #end, #beside, .tools")) element.hidden = true;
      $("finished").hidden = false;
      return $("finished-title").focus();
    }

    pause(ended) {
      return this.change("pause", { key: this.state.item.key, ended }, ended ? "Go on." : "");
    }

    guide() {
      HV.drawGuideline(this.guidelines[this.state.item.guideline] ?? "", this.state.item.labels);
      $("guideline").showModal();
    }

    listen() {
      const on = (id, act) => $(id).addEventListener("click", act);
      on("reveal", () => this.reveal());
      on("next", () => this.next());
      on("skip", () => this.skip());
      on("undo", () => this.undo());
      on("pause", () => this.pause(false));
      on("resume", () => this.pause(true));
      on("open-guideline", () => this.guide());
      for (const button of document.querySelectorAll(".finish")) button.addEventListener("click", () => this.end());
      $("labels").addEventListener("change", () => this.tellChosen());
      $("form").addEventListener("submit", (event) => event.preventDefault());
      this.keys();
    }

    // What each key does; the page says the same in its help.
    keys() {
      const acts = {
        Enter: () => this.next(),
        b: () => this.reveal(),
        s: () => this.skip(),
        u: () => this.undo(),
        p: () => this.pause(Boolean(this.state.paused)),
        e: () => $("reason").focus(),
        g: () => this.guide(),
        o: () => this.look(),
        n: () => this.note(),
        "?": () => $("keys").showModal(),
      };
      for (const key of "bsupegon") acts[key.toUpperCase()] = acts[key];
      for (let digit = 1; digit <= 9; digit++) acts[digit] = () => this.digit(digit - 1);
      const resting = new Set("pPoOnNgG?");
      const behind = new Set("uUoOnN?"); // when there is nothing more to label
      const allowed = (key) => {
        if (this.ended) return false;
        if (this.item) return true;
        if (!this.working) return key === "?";
        return (this.state.item ? resting : behind).has(key);
      };
      HV.keys(acts, allowed, (event) => this.field(event));
    }

    // In a field letters are letters.
    field(event) {
      if (!this.item || !["Escape", "Enter"].includes(event.key)) return;
      event.preventDefault();
      $("now").focus();
    }
  }

  HV.app = new App();
}
