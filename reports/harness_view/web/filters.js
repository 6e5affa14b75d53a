"use strict";
// What of a run is listed: by task, outcome, category, label of a judge, words, a number of the leaderboard, disagreement, flips.

{
  const SELECTS = ["part", "outcome", "category", "label"];
  const QUOTED = ["outcome", "category", "label"];
  const CHECKS = ["disagree", "flips"];
  const $ = (id) => document.getElementById(id);

  class Filters {
    // changed() is told of each change by the reader.
    constructor(source, changed) {
      Object.assign(this, { source, changed, found: null, searched: "", finding: null, abort: null, wanted: {} });
      this.behind = new HV.Behind(source, changed);
      for (const name of [...SELECTS, "judge", ...CHECKS]) $(name).addEventListener("change", () => this.touched(name));
      $("q").addEventListener("input", () => this.touched("q"));
      $("filters").addEventListener("submit", (event) => event.preventDefault());
      $("unfold").addEventListener("click", () => {
        $("unfold").setAttribute("aria-expanded", $("fields").classList.toggle("unfolded"));
      });
      $("clear").addEventListener("click", () => this.clear());
    }

    // What is asked for, as the address has it; what is not asked for is missing.
    get state() {
      const state = { ...this.wanted, ...this.behind.state };
      for (const name of [...SELECTS, "judge"]) if ($(name).value) state[name] = $(name).value;
      for (const name of CHECKS) if ($(name).checked) state[name] = "1";
      if ($("q").value.trim()) state.q = $("q").value.trim();
      return state;
    }

    // Take on a state of an address; a value that is not there yet is waited for.
    set(state) {
      for (const name of CHECKS) $(name).checked = state[name] === "1";
      $("q").value = state.q || "";
      this.wanted = {};
      this.behind.set(state);
      for (const name of [...SELECTS, "judge"]) {
        const value = state[name] && QUOTED.includes(name) && !state[name].startsWith("=") ? quoted(state[name]) : state[name] || "";
        $(name).value = value;
        if (value) this.wanted[name] = value;
      }
    }

    clear() {
      this.set({});
      this.touched("q");
    }

    touched(name) {
      delete this.wanted[name];
      if (name === "judge") $("label").value = "";
      this.changed();
    }

    // Ask for the words, where they or the rows are others than before; null where none are asked for, else a promise
    // of whether what was found is what is still asked for.
    search(run) {
      const q = this.state.q || "";
      const asked = q && `${run.number} ${run.version} ${run.generation} ${q}`;
      if (asked === this.searched) return this.finding;
      this.searched = asked;
      this.abort?.abort();
      this.abort = new AbortController();
      if (!q) this.found = null;
      this.finding = q ? this.ask(run, q, asked) : null;
      return this.finding;
    }

    async ask(run, q, asked) {
      try {
        const found = new Set(await this.source.search(run.number, q, this.abort.signal));
        if (asked === this.searched) this.found = found;
        return asked === this.searched;
      } catch (error) {
        if (error.name !== "AbortError") throw error;
        return false;
      }
    }

    // The place of the judge whose labels are read; -1 for what items count as.
    judge(run) { return this.state.judge ? run.judges.indexOf(this.state.judge) : -1; }

    // The rows that are left of these, by their numbers, in their order.
    rows(run, pairs, order) {
      const state = this.state;
      const tests = [];
      const judge = this.judge(run);
      const columns = { outcome: run.outcome, category: run.category, label: run.labels(judge) };
      for (const [name, column] of Object.entries(columns)) {
        if (state[name] === undefined) continue;
        const wanted = run.texts.indexOf(unquoted(state[name]));
        tests.push((n) => column[n] === wanted);
      }
      if (state.part !== undefined) {
        const wanted = run.parts.indexOf(state.part);
        tests.push((n) => run.part[n] === wanted);
      }
      const behind = this.behind.test(run, state.judge ?? "");
      if (behind) tests.push(behind);
      if (state.disagree) tests.push((n) => run.disagree[n] === 1);
      if (state.flips && pairs) tests.push((n) => pairs.flips[n]);
      if (state.q && this.found) tests.push((n) => this.found.has(n));
      return tests.length ? order.filter((n) => tests.every((test) => test(n))) : order;
    }

    // Offer what the rows hold, each with its number of rows.
    offer(run) {
      const judge = this.judge(run);
      this.fill("part", "All", counted(run.part, run.parts), (value) => value);
      this.fill("outcome", "All", counted(run.outcome, run.texts), quoted);
      this.fill("category", "All", counted(run.category, run.texts), quoted);
      this.fill("label", "All", counted(run.labels(judge), run.texts), quoted);
      this.fill("judge", "Main judge", run.judges.map((name) => [name, null]), (value) => value);
    }

    fill(id, all, options, value) {
      const select = $(id);
      const state = this.wanted[id] ?? select.value;
      const made = options.map(([text, n]) => {
        const option = HV.fill(document.createElement("option"), (text || "none") + (n === null ? "" : ` (${n.toLocaleString("en")})`));
        option.value = value(text);
        return option;
      });
      const text = made.map((option) => option.textContent).join("\n");
      if (select.dataset.made !== text) {
        select.dataset.made = text;
        const first = document.createElement("option");
        first.value = "";
        first.textContent = all;
        select.replaceChildren(first, ...made);
        select.value = state;
        if (select.selectedIndex < 0) select.value = "";
      } else if (state !== select.value && made.some((option) => option.value === state)) {
        select.value = state;
      }
      if (select.value === state) delete this.wanted[id];
    }
  }

  // An option of the empty text is not the one that asks for nothing.
  const quoted = (text) => `=${text}`;
  const unquoted = (value) => value.replace(/^=/, "");

  function counted(column, texts) {
    const counts = new Array(texts.length).fill(0);
    for (const each of column) counts[each]++;
    return texts.map((text, at) => [text, counts[at]]).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  }

  HV.Filters = Filters;
}
