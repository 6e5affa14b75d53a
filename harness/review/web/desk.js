"use strict";
// What every review page does: who reviews, one change at a time, and what is said of it. A page's own class shows the
// state (`take`), and says what is wrong with what was sent (`refused`).

{
  const $ = (id) => document.getElementById(id);
  const READ = "harness-review-begun";

  class Desk {
    constructor() {
      this.state = null;
      this.working = false;
      this.shown = "";
      this.revealed = false;
    }

    // Listen to what all pages have, and ask who reviews where the address does not say.
    start() {
      const on = (id, kind, act) => $(id).addEventListener(kind, act);
      on("open-look", "click", () => this.look());
      on("open-note", "click", () => this.note());
      on("help", "click", () => $("keys").showModal());
      on("who", "submit", (event) => { event.preventDefault(); this.enter($("name").value); });
      on("begin", "submit", (event) => { event.preventDefault(); this.begin(); });
      const name = new URLSearchParams(location.search).get("reviewer") || "";
      $("name").value = name;
      if (name) this.enter(name);
      else this.welcome();
    }

    // One change at a time: a key pressed twice must not decide two of them.
    async ask(asked, said = "") {
      if (this.busy) return;
      this.busy = true;
      try {
        this.take(await asked(), said);
      } catch (error) {
        this.refused(error);
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

    refused(error) { this.warn(error.message); }

    tell(text, kind = "") {
      const place = $(this.working ? "said" : "name-help");
      if (!text && !this.working) return;
      place.textContent = text;
      place.className = kind || "dim";
    }

    warn(text) { this.tell(text, "warn"); }

    // Show the images, or blur them again; `images` are the page's words for both.
    reveal() {
      this.revealed = !this.revealed;
      this.blur(!this.revealed);
    }

    blur(blurred) {
      this.pictures.blur(blurred);
      $("reveal").firstElementChild.textContent = this.images[blurred ? "show" : "blur"];
    }

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
  }

  function begun() {
    try { return sessionStorage.getItem(READ); } catch { return null; }
  }

  HV.Desk = Desk;
}
