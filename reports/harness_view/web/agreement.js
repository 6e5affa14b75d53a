"use strict";
// How far the judges of a split agree, people included: figures, tables of labels, and the answers on which they differ.

{
  const $ = (id) => document.getElementById(id);
  const { make, theirs, fill } = HV;
  const LISTED = 200;
  const NONE = "—";
  const FIGURES = [["sensitivity", "Sensitivity %"], ["specificity", "Specificity %"], ["precision", "Precision %"], ["f1", "F1"]];

  const write = (value, unit) => (typeof value === "number" ? value.toFixed(unit === "%" ? 1 : 3) : NONE);

  // A value with its interval; why there is none, where there is none.
  function estimate(found, unit) {
    const box = make("span", "", write(found?.value, unit));
    if (found?.ci95) box.append(make("span", "ends", ` [${found.ci95.map((end) => write(end, unit)).join(", ")}]`));
    if (found?.why) box.append(make("span", "ends", " ", theirs(found.why)));
    return box;
  }

  const cell = (content, kind = "") => make("td", kind, content);
  const number = (content) => cell(content, "number");

  // A table that scrolls by itself where the page is too narrow; the first cell of each row is its head.
  function table(title, heads, rows) {
    const caption = make("caption", "", ...[title].flat());
    const top = make("tr", "");
    heads.forEach((head, at) => {
      const box = make("th", at && !head.left ? "number" : "", head.text ?? head);
      box.scope = "col";
      top.append(box);
    });
    const body = make("tbody");
    for (const [first, ...rest] of rows) {
      const head = make("th", "", first);
      head.scope = "row";
      body.append(make("tr", "", head, ...rest));
    }
    const box = make("div", "scroll", make("table", "", caption, make("thead", "", top), body));
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", caption.textContent);
    return box;
  }

  const left = (text) => ({ text, left: true });

  const section = (title, ...parts) => make("section", "", make("h3", "", title), ...parts);

  // A letter for each judge, as `harness agree` gives them.
  function letters(judges) {
    return new Map(judges.map((judge, at) => [judge, judges.length > 26 ? `J${at + 1}` : String.fromCharCode(65 + at)]));
  }

  class Page {
    constructor(source, abouts) {
      Object.assign(this, { source, abouts, measured: new Map() });
      $("run").replaceChildren(...abouts.map((about) => option(about.name)));
      $("run").addEventListener("change", () => this.show($("run").value, ""));
      $("split").addEventListener("change", () => this.show($("run").value, $("split").value));
      addEventListener("hashchange", () => { if (location.hash !== this.written) this.fromAddress(); });
      this.fromAddress();
    }

    fromAddress() {
      const state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
      this.show(state.run ?? "", state.split ?? "");
    }

    async show(run, split) {
      const at = Math.max(0, this.abouts.findIndex((about) => about.name === run));
      const about = this.abouts[at];
      $("run").value = about.name;
      fill($("about"), about.model);
      $("figures").setAttribute("aria-busy", "true");
      this.asked = at;
      let found = this.measured.get(at);
      if (!found) {
        try {
          found = await this.source.agreement(at);
        } catch {
          found = { why: "the server is gone, or the figures are missing", splits: {} };
        }
        if (!found.why) this.measured.set(at, found);
      }
      if (this.asked !== at) return;
      const titles = Object.keys(found.splits);
      const title = titles.includes(split) ? split : titles[0] ?? "";
      $("split").replaceChildren(...titles.map(option));
      $("split").value = title;
      $("split").disabled = !titles.length;
      $("figures").replaceChildren(title ? this.article(about, title, found.splits[title]) : this.nothing(found.remedy ? `${found.why}; ${found.remedy}` : found.why));
      $("figures").setAttribute("aria-busy", "false");
      document.title = `harness view: agreement, ${about.name}`;
      $("samples").href = `index.html#${new URLSearchParams({ run: about.name })}`;
      this.written = `#${new URLSearchParams({ run: about.name, ...(title ? { split: title } : {}) })}`;
      history.replaceState(null, "", this.written);
    }

    nothing(why) {
      return make("p", "empty", "No agreement was measured: ", theirs(why || "no split was judged"));
    }

    article(about, title, body) {
      const names = letters(Object.keys(body.judges));
      const box = make("section", "", make("h2", "", theirs(title)));
      const counts = `${body.records} records · ${body.answered} answered · ${body.common} scored by all`;
      box.append(make("p", "sum", counts), this.judges(body, names));
      if (body.pairs.length) box.append(this.together(body, names), this.matrices(body, names));
      if (body.fault) box.append(make("p", "note", theirs(body.fault)));
      if (body.main_metric) box.append(this.metric(body, names));
      if (body.people) box.append(...this.people(body, names));
      box.append(this.differing(about, body, names));
      return box;
    }

    judges(body, names) {
      const people = body.people?.annotators ?? {};
      const rows = Object.entries(body.judges).map(([judge, { scored, ...rest }]) => {
        const others = Object.entries(rest).map(([state, count]) => `${state} ${count}`).join(", ");
        return [names.get(judge), cell(theirs(judge)), cell(judge in people ? "person" : "machine"), number(String(scored)), cell(theirs(others))];
      });
      return section("Judges", table("Who labelled the answers", ["Name", left("Judge"), left("Kind"), "Scored", left("Not scored")], rows));
    }

    together(body, names) {
      const rows = body.pairs.map((pair) => [
        `${names.get(pair.judges[0])} and ${names.get(pair.judges[1])}`, cell("Cohen's kappa"), number(String(pair.n)),
        number(estimate(pair.agreement, "%")), number(estimate(pair.kappa)),
      ]);
      for (const [key, name] of [["fleiss_kappa", "Fleiss' kappa"], ["krippendorff_alpha", "Krippendorff's alpha"]]) {
        const found = body.together[key];
        rows.push(["all", cell(name), number(String(found.n)), number(NONE), number(estimate(found))]);
      }
      const heads = ["Judges", left("Coefficient"), "n", "Agreement %", "Beyond chance"];
      return section("Agreement", table("With 95% intervals", heads, rows));
    }

    matrices(body, names) {
      const box = make("div", "matrices");
      for (const pair of body.pairs) {
        const used = body.labels.map((_, at) => at).filter((at) => pair.confusion[at].some(Boolean) || pair.confusion.some((row) => row[at]));
        if (!used.length) continue;
        const [rows, columns] = pair.judges.map((judge) => names.get(judge));
        const lines = used.map((row) => [theirs(body.labels[row]), ...used.map((column) => {
          const count = pair.confusion[row][column];
          return cell(String(count), `number ${row === column ? "same" : count ? "differs" : "dim"}`);
        })]);
        box.append(table(`Rows ${rows}, columns ${columns}`, [`${rows} ↓ ${columns} →`, ...used.map((at) => ({ text: theirs(body.labels[at]) }))], lines));
      }
      return section("Labels of each pair", box);
    }

    metric(body, names) {
      const { name, unit, judges, range } = body.main_metric;
      const rows = Object.entries(judges).map(([judge, found]) => [
        names.get(judge), number(estimate(found, unit)), number(`${(found.coverage * 100).toFixed(1)} %`), number(write(found.common, unit)),
      ]);
      if (range) rows.push(["range", cell(""), cell(""), number(range.map((end) => write(end, unit)).join(" to "))]);
      const heads = ["Judge", "All records", "Coverage", `The ${body.common} scored by all`];
      const drawn = body.people?.weighted
        ? [make("p", "note", "Kappas with people, and their main metric here, are of the drawn answers alone; weighted figures stand below.")] : [];
      return section("Main metric", ...drawn, table([theirs(name), unit === "%" ? " %" : "", " under each judge"], heads, rows));
    }

    people(body, names) {
      const { people } = body;
      const notes = [`${people.labelled} answers are labelled by people`];
      if (people.tied) notes.push(`${people.tied} of them with a tie, which are left out`);
      if (people.unused) notes.push(`${people.unused} do not count yet: they are ahead of the draw`);
      const of = Math.max(0, ...Object.values(people.judges).filter((found) => found.people.weighted).map((found) => found.people.of));
      if (of) notes.push(`by the recorded draw they stand for ${of} answers`);
      const box = section("Against people", make("p", "sum", `${notes.join("; ")}.`));
      if (people.why) box.append(make("p", "note", people.weighted ? "Of a part, the labelled answers alone count: " : "Only the labelled answers count: ", theirs(people.why), "."));
      for (const [judge, references] of Object.entries(people.judges)) {
        const named = Object.entries(references).map(([name, found]) => [
          name === "people" ? "people" : names.get(name), found, people.weighted && !found.weighted ? " (labelled answers alone)" : "",
        ]);
        box.append(this.accuracy(body, [`${names.get(judge)} against people, `, theirs(judge)], "Reference", named));
      }
      if (Object.keys(people.judges).length) box.append(this.shares(body, names));
      const others = Object.entries(people.annotators).filter(([, found]) => found.against_others);
      const ceiling = this.accuracy(body, "Each person against what most others say: no judge can be asked for more", "Person",
        others.map(([person, found]) => [names.get(person), found.against_others, ""]));
      return [box, section("People", ...(others.length ? [ceiling] : []), this.annotators(body, names))];
    }

    accuracy(body, title, first, references) {
      const rows = [];
      for (const [name, found, remark] of references) {
        const used = body.labels.filter((label) => found.labels[label].judge || found.labels[label].people);
        for (const label of used) {
          const figures = found.labels[label];
          rows.push([`${name}${remark}`, cell(theirs(label)), number(String(found.n)),
            ...FIGURES.map(([key]) => number(estimate(figures[key], key === "f1" ? "" : "%")))]);
        }
        if (!used.length) rows.push([`${name}${remark}`, cell("no answer in common"), number("0"), ...FIGURES.map(() => number(NONE))]);
      }
      return table(title, [first, left("Label"), "n", ...FIGURES.map(([, head]) => head)], rows);
    }

    shares(body, names) {
      const found = Object.entries(body.people.judges).map(([judge, references]) => [names.get(judge), references.people.labels]);
      const rows = body.labels.filter((label) => found.some(([, labels]) => labels[label].judge || labels[label].people)).map((label) => [
        theirs(label), ...found.flatMap(([, labels]) => [number(write(labels[label].judge_share.value, "%")), number(estimate(labels[label].people_share, "%"))]),
      ]);
      return table("Share of each label %, over the same answers", ["Label", ...found.flatMap(([name]) => [name, `People, beside ${name}`])], rows);
    }

    annotators(body, names) {
      const metric = body.main_metric;
      const found = Object.entries(body.people.annotators);
      const rows = found.map(([person, own]) => {
        const remarks = [own.always === null ? null : make("span", "note", "always says ", theirs(own.always)), found.length > 1 ? null : "one annotator: agreement unknown"];
        return [names.get(person), cell(theirs(person)), number(String(own.labels)), number(String(own.skipped)),
          number(own.against_others ? estimate(own.against_others.agreement, "%") : NONE),
          number(own.estimate ? estimate({ ...own.estimate, why: "" }, metric?.unit ?? "%") : NONE),
          make("td", "", ...remarks.filter(Boolean), own.estimate?.why ? theirs(own.estimate.why) : "")];
      });
      const heads = ["Name", left("Person"), "Labels", "Skipped", "As the others %", { text: make("span", "", "Own ", theirs(metric?.name ?? "estimate")) }, left("Remarks")];
      return table("Each person's labels, and the main metric by these alone", heads, rows);
    }

    differing(about, body, names) {
      const title = `${body.differing.toLocaleString("en")} answers are labelled differently`;
      if (!body.differing) return section("Disagreements", make("p", "sum", "No answer is labelled differently."));
      const row = (found) => {
        const link = make("a", "", theirs(found.item));
        link.href = `index.html#${new URLSearchParams({ run: about.name, item: found.item })}`;
        return [link, cell(theirs(found.category)), ...[...names.keys()].map((judge) => cell(theirs(found.labels[judge] ?? NONE)))];
      };
      const heads = ["Sample", left("Category"), ...[...names.values()].map(left)];
      const listed = table(title, heads, body.disagreements.slice(0, LISTED).map(row));
      const box = section("Disagreements", listed);
      if (body.disagreements.length > LISTED) {
        const more = make("button", "more", `Show all ${body.disagreements.length.toLocaleString("en")}`);
        more.type = "button";
        more.addEventListener("click", () => {
          const whole = table(title, heads, body.disagreements.map(row));
          listed.replaceWith(whole);
          more.remove();
          whole.focus();
        });
        box.append(more);
      }
      return box;
    }
  }

  function option(name) {
    const made = fill(document.createElement("option"), name);
    made.value = name;
    return made;
  }

  const source = HV.source();
  source.runs().then((abouts) => { HV.page = new Page(source, abouts); });
}
