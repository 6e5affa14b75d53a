"use strict";
// The page: runs that come in, the list, the reading pane, the address, keys.

{
  const $ = (id) => document.getElementById(id);
  const { make, theirs, fill } = HV;
  const WAIT = 1000;
  const GATHER = 250;
  const SORTS = ["sample", "question", "answer", "label", "outcome", "category"];

  class App {
    constructor(source, abouts) {
      this.source = source;
      this.runs = abouts.map((about, number) => new HV.Run(number, about));
      this.run = this.runs[0];
      this.beside = null;
      this.pairs = null;
      this.open = "";
      this.revealed = "";
      this.details = new Map();
      this.sort = "";
      this.untouched = true; // until the reader chooses, the first sample is open
      this.filters = new HV.Filters(source, () => this.refilter());
      this.pane = new HV.Pane(source, () => this.isRevealed(), () => $("raw").getAttribute("aria-pressed") === "true");
      this.list = new HV.List($("list"), $("heads"), $("sizer"), {
        draw: (row, n) => this.draw(row, n),
        chosen: (n) => this.choose(n),
        sorted: (column) => this.sortBy(column),
      });
      $("reveal").checked = abouts[0].mode === "reveal";
      $("reveal").disabled = abouts[0].mode === "redact";
      $("show").hidden = abouts[0].mode === "redact";
      this.unveil();
      this.offerRuns();
      this.listen();
      this.fromAddress();
      for (const run of this.runs) this.follow(run);
      const chosen = (run, number) => this.showCounted(run, number);
      this.overview = new HV.Overview(source, () => [this.run, ...(this.beside ? [this.beside] : [])], chosen);
    }

    isRevealed() { return $("reveal").checked || (this.open !== "" && this.revealed === this.open); }

    offerRuns() {
      const option = (run) => {
        const made = fill(document.createElement("option"), run.about.name);
        made.value = run.about.name;
        return made;
      };
      const none = document.createElement("option");
      none.value = "";
      none.textContent = "none";
      $("run").replaceChildren(...this.runs.map(option));
      $("with").replaceChildren(none, ...this.runs.map(option));
      $("with-label").hidden = this.runs.length < 2;
      if (this.runs.length > 1) $("with").value = this.runs[1].about.name;
    }

    named(name) { return this.runs.find((run) => run.about.name === name) ?? null; }

    // Take in a run's rows, and on; what is read anew after a change takes the old rows' place when it is whole.
    async follow(run) {
      let fresh = run;
      for (;;) {
        let wait = 0;
        try {
          const rows = await this.source.rows(run.number, fresh.cursor);
          if (fresh.generation >= 0 && rows.generation !== fresh.generation) {
            fresh = new HV.Run(run.number, run.about);
          }
          const changed = fresh.merge(rows);
          if (fresh !== run && (fresh.settled || fresh.count > run.count)) {
            const version = run.version;
            Object.assign(run, fresh, { version: version + fresh.version });
            fresh = run;
            this.grown(run, null);
          } else if (fresh === run) {
            this.grown(run, changed);
          }
          if (rows.settled && !this.source.live) return;
          if (rows.settled || !rows.n.length) wait = rows.settled ? WAIT : WAIT / 10;
          this.tell("");
        } catch (error) {
          this.tell("The server is gone; what is here stays readable.");
          wait = 3 * WAIT;
        }
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }

    // New or changed rows; all of them where changed is null.
    grown(run, changed) {
      if (changed && !changed.length && run.told === run.settled) return;
      run.told = run.settled;
      for (const n of changed ?? []) if (this.details.size) this.details.delete(`${run.number} ${run.name(n)}`);
      if (changed === null) this.details.clear();
      if (run !== this.run && run !== this.beside) return;
      // the first rows at once; then many come in quick succession, and to sort them costs more than to wait for some
      const soon = run.settled || !this.list.rows.length ? 0 : GATHER;
      this.later ??= setTimeout(() => {
        this.later = undefined;
        this.refresh();
        if (this.open && (this.shown !== this.open || !this.details.has(`${this.run.number} ${this.open}`))) this.read();
      }, soon);
    }

    // The list anew, with what the rows now hold.
    async refresh() {
      this.filters.offer(this.run);
      this.show();
      if (await this.filters.search(this.run)) this.show();
    }

    show() {
      const judge = this.filters.judge(this.run);
      const rows = this.filters.rows(this.run, this.pairs?.update(), this.run.order(this.sort || "sample", judge));
      const total = this.run.count;
      const all = rows.length === total ? "" : ` of ${total.toLocaleString("en")}`;
      const odd = this.run.unreadable ? ` · ${this.run.unreadable} unreadable` : "";
      $("count").textContent = `${rows.length.toLocaleString("en")}${all} samples${this.run.settled ? "" : " …"}${odd}`;
      this.nameSplits(rows);
      this.list.current = this.run.names.get(this.open) ?? -1;
      this.list.mark(this.sort || "sample");
      this.list.set(rows);
      if (this.untouched && rows.length) this.openFirst(rows[0]);
    }

    // Rows say of which split they are where those of several are listed.
    nameSplits(rows) {
      const { part } = this.run;
      this.splits = this.run.parts.length > 1 && rows.some((n) => part[n] !== part[rows[0]]);
      document.body.classList.toggle("splits", this.splits);
      this.list.measure();
    }

    // At the start the first sample of the list is open, also while rows before it come in.
    openFirst(n) {
      if (this.run.settled) this.untouched = false;
      if (this.run.name(n) === this.open) return;
      this.open = this.run.name(n);
      this.list.select(n, false);
      this.linkAgreement();
      this.read();
    }

    // By a column; the same again turns it around, and a third time leads back to the order of the data.
    sortBy(column) {
      const usual = column === "sample";
      const next = { [column]: `-${column}`, [`-${column}`]: "" }[this.sort || (usual ? column : "")];
      this.sort = next ?? (usual ? "" : column);
      this.untouched = false;
      this.show();
      this.list.box.scrollTop = 0;
      this.list.paint();
      this.toAddress();
    }

    // The samples behind a main number.
    showCounted(run, number) {
      if (run !== this.run) {
        $("run").value = run.about.name;
        $("with").value = this.run.about.name;
        this.switched();
      }
      this.filters.set({ split: number.part, metric: number.metric, counts: "hit" });
      document.body.classList.remove("reading");
      this.refilter();
    }

    // After a change of the filters by the reader.
    async refilter() {
      this.filters.offer(this.run);
      const finding = this.filters.search(this.run);
      if (finding && !(await finding)) return;
      this.show();
      $("list").scrollTop = 0;
      this.list.select(this.list.current);
      this.toAddress();
    }

    draw(row, n) {
      const run = this.run;
      const judge = this.filters.judge(run);
      const cell = (kind, ...children) => {
        const made = make("span", `cell ${kind}`, ...children);
        made.setAttribute("role", "gridcell");
        return made;
      };
      const id = cell("row-id", make("span", "name-line", ...HV.midShortened(run.id[n]), run.repeated ? make("span", "epoch", `#${run.epoch[n]}`) : null));
      if (this.splits) id.append(theirs(run.parts[run.part[n]], "split"));
      id.title = `${run.id[n]}${run.repeated ? `#${run.epoch[n]}` : ""}${run.parts.length > 1 ? ` of ${run.parts[run.part[n]]}` : ""}`;
      const label = run.texts[run.labels(judge)[n]] || "unresolved";
      const chips = cell("row-label", HV.labelled(label, run.meaning(n, judge)));
      const m = this.pairs ? this.pairs.update().other[n] : -1;
      if (m >= 0 && this.pairs.flips[n]) {
        chips.append(make("span", "dim", "→"), HV.labelled(this.beside.word("label", m), this.beside.meaning(m)));
      }
      if (run.disagree[n]) {
        const differ = make("span", "chip warn", "≠");
        differ.title = "judges differ";
        chips.append(differ, make("span", "unseen", "judges differ"));
      }
      const outcome = run.word("outcome", n);
      const shown = $("reveal").checked || this.revealed === run.name(n);
      row.replaceChildren(
        id,
        cell("row-question", this.excerpt(run.question[n], shown)),
        cell("row-answer", this.excerpt(run.excerpt[n], shown)),
        chips,
        cell(`row-outcome${outcome === "answered" ? " usual" : ""}`, HV.outcome(outcome)),
        cell("row-category", theirs(run.word("category", n) || "")),
      );
    }

    // The beginning of a text in the list, only where it is revealed.
    excerpt(text, shown) {
      if (this.run.about.mode === "redact") return make("span", "dim", "redacted");
      if (!text) return make("span", "dim", "—");
      return shown ? theirs(text) : make("span", "veil", make("span", "unseen", "folded"));
    }

    choose(n) {
      if (n === undefined || n < 0) return;
      this.untouched = false;
      this.note = "";
      this.open = this.run.name(n);
      this.list.select(n);
      document.body.classList.add("reading");
      this.toAddress();
      this.read();
    }

    async detail(run) {
      const key = `${run.number} ${this.open}`;
      if (!this.details.has(key)) {
        const item = await this.source.item(run.number, run.names.get(this.open), this.open);
        if (this.details.size > 50) this.details.clear();
        if (item) this.details.set(key, item);
        return item;
      }
      return this.details.get(key);
    }

    // Fetch and draw the open sample, of both runs where two are chosen.
    async read() {
      const open = this.open;
      if (!open) return;
      const runs = [this.run, ...(this.beside ? [this.beside] : [])];
      const items = await Promise.all(runs.map((run) => this.detail(run)));
      if (open !== this.open) return;
      const articles = runs.map((run, at) => this.pane.article(run, items[at], runs.length > 1 ? run.about.name : ""));
      this.shown = items[0] ? open : "";
      $("reading").className = articles.length > 1 ? "two" : "";
      document.body.classList.toggle("beside", articles.length > 1);
      const prompts = "#reading > article > section details.prompt";
      const kept = $("pane").dataset.open === open ? [...document.querySelectorAll(prompts)].map((each) => each.open) : [];
      $("reading").replaceChildren(...articles);
      document.querySelectorAll(prompts).forEach((each, at) => { each.open = kept[at] === true; });
      $("show").firstChild.textContent = this.isRevealed() ? "Fold " : "Reveal ";
      $("show").disabled = $("reveal").checked;
      if ($("pane").dataset.open !== open) $("reading").scrollTop = 0;
      $("pane").dataset.open = open;
    }

    toggle() {
      if (!this.open || $("show").hidden || $("reveal").checked) return;
      this.untouched = false;
      this.revealed = this.revealed === this.open ? "" : this.open;
      this.unveil();
      this.list.repaint();
      this.read();
    }

    // Texts have room in the list once they are shown.
    unveil() { document.body.classList.toggle("veiled", !$("reveal").checked); }

    // Open or close what the judge was sent, of both runs; or say why there is nothing to open.
    showPrompt() {
      const articles = [...document.querySelectorAll("#reading > article")];
      const prompts = articles.map((article) => article.querySelector("details.prompt")).filter(Boolean);
      if (!prompts.length) {
        const whys = new Set(articles.map((article) => article.dataset.unprompted).filter(Boolean));
        this.tell([...whys].join(" · ") || "no judge has seen this answer", true);
        return;
      }
      this.tell("", true);
      const open = !prompts[0].open;
      for (const prompt of prompts) {
        prompt.open = open;
        if (open) HV.reach(prompt);
      }
    }

    chooseRuns(run, beside) {
      this.run = run ?? this.run;
      this.beside = beside === this.run ? null : beside;
      this.pairs = this.beside && new HV.Pairs(this.run, this.beside);
      $("run").value = this.run.about.name;
      $("with").value = this.beside?.about.name ?? "";
      $("flips-label").hidden = !this.pairs;
      if (!this.pairs) $("flips").checked = false;
      fill($("about"), this.run.about.model);
      this.overview?.refresh();
      document.title = `harness view: ${this.run.about.name}`;
    }

    // The address: run, the other run, sample and filters.
    toAddress() {
      const state = { run: this.run.about.name, ...this.filters.state };
      if (this.sort) state.sort = this.sort;
      if (this.runs.length > 1) state.with = this.beside?.about.name ?? "";
      if (this.open) state.item = this.open;
      this.written = `#${new URLSearchParams(state)}`;
      history.replaceState(null, "", this.written);
      this.linkAgreement();
    }

    // The page on the judges of the split that is read, or of the chosen one.
    linkAgreement() {
      const n = this.run.names.get(this.open);
      const split = n === undefined ? this.filters.state.part ?? "" : this.run.parts[this.run.part[n]];
      $("agreement").href = `agreement.html#${new URLSearchParams({ run: this.run.about.name, ...(split ? { split } : {}) })}`;
    }

    fromAddress() {
      const state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
      const beside = state.with === undefined ? this.runs[1] ?? null : this.named(state.with);
      this.chooseRuns(this.named(state.run), beside);
      this.filters.set(state);
      this.sort = SORTS.includes((state.sort ?? "").replace("-", "")) ? state.sort.replace(/^sample$/, "") : "";
      this.open = state.item ?? "";
      this.untouched = !this.open;
      this.linkAgreement();
      if (this.open) {
        document.body.classList.add("reading");
        this.read();
      }
      this.refresh().then(() => this.list.select(this.run.names.get(this.open) ?? -1));
    }

    // Whether the server is there; or, noted, what a key could not do. The former comes first.
    tell(text, noted = false) {
      if (noted) this.note = text;
      else this.trouble = text;
      const said = this.trouble || this.note || "";
      if ($("said").textContent !== said) fill($("said"), said);
    }

    listen() {
      $("run").addEventListener("change", () => this.switched());
      $("with").addEventListener("change", () => this.switched());
      $("reveal").addEventListener("change", () => { this.unveil(); this.list.repaint(); this.read(); });
      $("raw").addEventListener("click", () => {
        $("raw").setAttribute("aria-pressed", $("raw").getAttribute("aria-pressed") !== "true");
        this.read();
      });
      $("show").addEventListener("click", () => this.toggle());
      $("previous").addEventListener("click", () => this.choose(this.list.step(-1)));
      $("next").addEventListener("click", () => this.choose(this.list.step(1)));
      $("back").addEventListener("click", () => this.back());
      $("help").addEventListener("click", () => $("keys").showModal());
      $("link").addEventListener("click", () => this.copy());
      addEventListener("hashchange", () => { if (location.hash !== this.written) this.fromAddress(); });
      HV.keys(this);
    }

    switched() {
      this.chooseRuns(this.named($("run").value), this.named($("with").value));
      this.refresh();
      this.toAddress();
      this.read();
    }

    back() {
      document.body.classList.remove("reading");
      $("list").focus();
    }

    copy() { HV.copy(location.href, $("link")); }
  }

  // Bring an opened fold to the top of the pane; again when what it holds has come.
  HV.reach = (fold) => {
    fold.dataset.reached = "1";
    fold.scrollIntoView({ block: "start" });
  };

  // Copy a text, and say so on the button; where the browser does not allow it, it says that instead.
  HV.copy = async (text, button) => {
    const name = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed here";
    }
    setTimeout(() => { button.textContent = name; }, 1500);
  };

  const source = HV.source();
  source.runs().then((abouts) => { HV.app = new App(source, abouts); });
}
