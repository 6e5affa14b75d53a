"use strict";
// The samples behind one number of the leaderboard: those that hit, those it divides by, those that are open.

{
  const KEYS = ["split", "metric", "counts", "by", "group"];
  const { make, theirs } = HV;
  // what is listed -> the states that it lists, see item_states.py; its name for a metric; its name for the samples themselves
  const CHOICES = {
    hit: ["2", "counted", "blocked"],
    all: ["12", "divided by", "resolved"],
    open: ["3", "open", "unresolved"],
    any: ["0123", "asked", "asked"],
  };

  class Behind {
    // changed() is told when what is listed may have changed.
    constructor(source, changed) {
      Object.assign(this, { source, changed, wanted: {}, key: "", found: null });
    }

    get state() { return this.wanted; }

    set(state) {
      this.wanted = {};
      if (state.split && Object.hasOwn(CHOICES, state.counts ?? "")) for (const key of KEYS) if (state[key] !== undefined) this.wanted[key] = state[key];
      this.draw();
    }

    // A test of a row's number; null where no number is asked for. Nothing passes before it is known.
    test(run, judge) {
      const { split } = this.wanted;
      if (split === undefined) return null;
      const key = `${run.number} ${run.version} ${run.generation} ${split}`;
      if (key !== this.key) {
        Object.assign(this, { key, found: null });
        this.load(run, split, key);
      }
      const listed = this.sets(judge);
      this.draw(listed);
      const chosen = listed?.[this.wanted.counts];
      return (n) => chosen?.has(n) ?? false;
    }

    async load(run, split, key) {
      let found = null;
      try {
        found = await this.source.counted(run.number, split);
      } catch { /* an export without it, or the server is gone */ }
      if (key !== this.key) return;
      this.found = found ?? { why: "this is not known here" };
      this.changed();
    }

    // What may be listed -> numbers of rows; null while unknown, and where the number is not of this split.
    sets(judge) {
      const { found, wanted } = this;
      const own = (named, name) => (named && Object.hasOwn(named, name) ? named[name] : undefined); // an address names what it likes
      const judges = found?.judges;
      const states = own(own(judges, judge) ?? own(judges, "") ?? Object.values(judges ?? {})[0], wanted.metric ?? "");
      if (states === undefined) return null;
      const groups = wanted.by === undefined ? null : own(found.by, wanted.by);
      if (groups === undefined) return null;
      const group = groups?.names.indexOf(wanted.group);
      const sets = Object.fromEntries(Object.keys(CHOICES).map((name) => [name, new Set()]));
      found.n.forEach((n, at) => {
        if (wanted.by !== undefined && groups?.of[at] !== group) return;
        for (const [name, [listed]] of Object.entries(CHOICES)) if (listed.includes(states[at])) sets[name].add(n);
      });
      return sets;
    }

    // Which number it is, and a button for each part of it.
    draw(sets = null) {
      const box = document.getElementById("behind");
      const { split, metric, group } = this.wanted;
      box.hidden = split === undefined;
      if (box.hidden) return;
      const head = make("p", "", theirs(metric ?? "Samples"), group === undefined ? "" : " of ", group === undefined ? "" : theirs(group), " on ", theirs(split));
      const buttons = Object.entries(CHOICES).map(([name, [, one, other]]) => {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.counts = name;
        button.textContent = `${sets ? `${sets[name].size.toLocaleString("en")} ` : ""}${metric === undefined ? other : one}`;
        button.setAttribute("aria-pressed", String(name === this.wanted.counts));
        button.addEventListener("click", () => {
          this.wanted = { ...this.wanted, counts: name };
          this.changed();
          document.querySelector(`#behind [data-counts="${name}"]`)?.focus();
        });
        return button;
      });
      const why = this.found?.why ?? (this.found && !sets ? "this judge has no such number" : "");
      box.replaceChildren(head, ...(why ? [make("p", "warn", `Not to be found: ${why}${this.found?.remedy ? `; ${this.found.remedy}` : ""}.`)] : buttons));
    }
  }

  HV.Behind = Behind;
}
