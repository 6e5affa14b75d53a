"use strict";
// Above the samples: the main number of each split with what it counts, and how far a run is that goes on.

{
  const $ = (id) => document.getElementById(id);
  const { make, theirs } = HV;
  const ARROWS = { lower: "↓", higher: "↑" };
  const BETTER = { lower: "lower is better", higher: "higher is better", neither: "neither direction is better" };
  const FEW = 4;
  const BUSY = 1000;
  const IDLE = 4000;

  class Overview {
    // wanted() are the runs on the page; chosen(run, number) is told of the number whose samples are asked for.
    constructor(source, wanted, chosen) {
      Object.assign(this, { source, wanted, chosen, said: new Map(), drawn: "" });
      this.follow();
    }

    async follow() {
      for (;;) {
        let wait = IDLE;
        try {
          for (const run of this.wanted()) {
            const found = await this.source.overview(run.number);
            this.said.set(run, found);
            if (found.progress) wait = BUSY;
          }
          this.draw();
        } catch {
          wait = IDLE; // the page says that the server is gone
        }
        if (!this.source.live) return;
        await new Promise((resolve) => { this.wake = resolve; setTimeout(resolve, wait); });
      }
    }

    // Another run is on the page.
    refresh() {
      this.draw();
      this.wake?.();
    }

    draw() {
      const runs = this.wanted().filter((run) => this.said.has(run));
      const text = JSON.stringify(runs.map((run) => [run.about.name, this.said.get(run)]));
      if (text === this.drawn) return;
      this.drawn = text;
      const several = this.wanted().length > 1;
      $("progress").replaceChildren(...runs.flatMap((run) => this.progress(run, several)));
      $("progress").hidden = !$("progress").children.length;
      this.numbers(runs, several);
    }

    progress(run, several) {
      const found = this.said.get(run).progress;
      if (!found) return [];
      const bar = make("progress");
      bar.max = Math.max(1, found.total);
      bar.value = found.done;
      bar.setAttribute("aria-label", `Answers of ${run.about.name}`);
      const count = (n) => n.toLocaleString("en");
      const facts = [];
      if (found.to_judge) facts.push(`${count(found.judged)} of ${count(found.to_judge)} judged`);
      facts.push(found.rate === null ? "no rate yet" : `${count(found.rate < 10 ? found.rate : Math.round(found.rate))} ${found.of} per minute`);
      if (found.quiet > 300) facts.push(`nothing new for ${time(found.quiet)}: it may have been stopped`);
      else if (found.seconds_left) facts.push(`about ${time(found.seconds_left)} left`);
      const line = make("p", "", make("strong", "", `${count(found.done)} of ${count(found.total)}`), ` answered · ${facts.join(" · ")}`);
      if (several) line.prepend(theirs(run.about.name, "who"), " ");
      return [make("div", "going", bar, line)];
    }

    numbers(runs, several) {
      let all = runs.flatMap((run) => this.said.get(run).numbers.map((number) => [run, number]));
      const why = runs.map((run) => this.said.get(run)).find((found) => !found.numbers.length && !found.progress)?.why ?? "";
      $("numbers").hidden = !all.length;
      $("no-numbers").hidden = Boolean(all.length) || !why;
      HV.fill($("no-numbers"), why ? `No numbers: ${why}.` : "");
      const paired = pairNumbers(all);
      const brief = paired.slice(0, FEW).flatMap((numbers, at) => [at ? " · " : "", this.brief(numbers, runs.length)]);
      if (paired.length > FEW) brief.push(` · ${paired.length - FEW} more`);
      $("brief").replaceChildren(...brief);
      $("brief").title = several ? runs.map((run) => run.about.name).join(" → ") : "";
      all = paired.flat();
      $("number-list").replaceChildren(...all.map(([run, number]) => this.number(run, number, several)));
      if (all.length && !$("numbers").dataset.made) {
        $("numbers").dataset.made = "1";
        $("numbers").open = all.length <= FEW && innerWidth > 1100 && innerHeight > 760;
      }
    }

    // A number of each run on one line: before → after.
    brief(numbers, runs) {
      const [, first] = numbers[0];
      const shown = numbers.flatMap(([run, number], at) => {
        const whose = numbers.length < runs ? [theirs(run.about.name), " "] : []; // the other run has none
        return [at ? " → " : "", ...whose, make("b", "", at < numbers.length - 1 ? number.value : value(number))];
      });
      return make("span", "each", theirs(first.part, "dim"), " ", make("span", "figure", theirs(first.metric), " ", ...shown, ` ${ARROWS[first.better] ?? ""}`));
    }

    number(run, number, several) {
      const head = make("span", "which", theirs(number.part, "who"));
      if (several) head.prepend(theirs(run.about.name), " ");
      const shown = make("span", "figure", theirs(number.metric), " ", make("b", "", value(number)), ` ${ARROWS[number.better] ?? ""} `);
      if (number.ci95) shown.append(make("span", "dim", number.ci95));
      const go = make("button", "count");
      go.type = "button";
      go.append(`${round(number.numerator)} of ${round(number.denominator)}`);
      go.title = "Show the samples that count";
      go.setAttribute("aria-label", `Show the ${round(number.numerator)} samples of ${number.part} that count in ${number.metric}`);
      go.addEventListener("click", () => this.chosen(run, number));
      if (typeof number.numerator !== "number" || typeof number.denominator !== "number") go.hidden = true;
      const what = make("span", "meant", theirs(number.what), ` ${sentence(BETTER[number.better] ?? "")}`);
      const notes = [`n = ${number.n.toLocaleString("en")}`];
      if (number.unresolved) notes.push(`${round(number.unresolved)} unresolved`);
      if (!number.complete) notes.push("incomplete");
      what.append(make("span", "dim", ` ${notes.join(", ")}; judge `), theirs(number.judge || "none", "dim"), number.why ? theirs(`; ${number.why}`, "dim") : "");
      return make("li", "", head, shown, go, what);
    }
  }

  // The numbers of one split and metric together, in the order of the first run's.
  function pairNumbers(all) {
    const pairs = new Map();
    for (const each of all) {
      const key = `${each[1].part} ${each[1].metric}`;
      pairs.set(key, [...(pairs.get(key) ?? []), each]);
    }
    return [...pairs.values()];
  }

  const value = (number) => `${number.value}${number.unit === "%" && number.value !== "—" ? " %" : ""}`;
  const sentence = (words) => (words ? `${words[0].toUpperCase()}${words.slice(1)}.` : "");
  const round = (n) => (typeof n === "number" ? (Math.round(n * 100) / 100).toLocaleString("en") : "—");

  function time(seconds) {
    if (seconds < 90) return `${seconds} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  HV.Overview = Overview;
}
