"use strict";
// One sample, whole: what was asked in order, the answer, the verdicts, time and tokens.

{
  const { make, theirs, long, folded } = HV;

  const number = (value) => (typeof value === "number" ? value.toLocaleString("en") : "unknown");

  const isText = (value) => /\S\s+\S/.test(value);

  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

  // A chip that says what it is of.
  const named = (name, value, kind) => make("span", `chip ${kind}`, make("span", kind === "warn" ? "" : "dim", `${name} `), theirs(value));

  class Pane {
    // source and run say where images come from; revealed() whether the sample is.
    constructor(source, revealed) { Object.assign(this, { source, revealed, urls: [] }); }

    // An article of one item; null for none.
    article(run, item, heading) {
      const box = make("article", "", make("h2", "", theirs(heading || item?.item || "")));
      box.setAttribute("aria-label", heading ? `Run ${heading}` : "Sample");
      if (!item) {
        box.append(make("p", "empty", "This run has no such sample."));
        return box;
      }
      if (heading) box.append(make("p", "name", theirs(item.item), " · ", theirs(run.about.model)));
      box.append(this.chips(item), this.question(run, item), this.answer(item), this.verdicts(item), this.numbers(run, item));
      return box;
    }

    chips(item) {
      const line = make("p", "chips", named("outcome", item.outcome, item.outcome === "answered" ? "" : "warn"));
      line.append(named("label", item.label || "unresolved", "label"));
      for (const flag of item.flags) line.append(make("span", "chip", theirs(flag)));
      const labels = new Set(item.judges.map((judge) => judge.label).filter(Boolean));
      if (labels.size > 1) line.append(make("span", "chip warn", "judges differ"));
      if (item.category) line.append(make("span", "dim", theirs(item.category)));
      return line;
    }

    question(run, item) {
      const box = make("section", "", make("h3", "", "Asked"));
      if (!item.prompt) {
        box.append(make("p", "folded", `Redacted: ${item.images} images, ${item.texts} texts`));
        return box;
      }
      const images = item.prompt.filter((part) => "image" in part).length;
      let role = "", seen = 0;
      let row = null;
      for (const part of item.prompt) {
        if (part.role && part.role !== role) {
          role = part.role;
          box.append(make("p", "role", theirs(role)));
          row = null;
        }
        if ("image" in part) {
          row ??= box.appendChild(make("div", "images"));
          row.append(this.image(run, item, part, ++seen, images));
        } else {
          row = null;
          box.append(this.words(part.text));
        }
      }
      if (!item.prompt.length) box.append(make("p", "empty", "Nothing is stored of what was asked."));
      return box;
    }

    image(run, item, part, place, of) {
      const picture = make("img");
      const called = `Image ${place} of ${of}`;
      picture.alt = `${called}, ${this.revealed() ? "revealed" : "blurred"}`;
      const caption = make("figcaption", "", `${called} `, theirs(part.image || "", "dim"));
      const figure = make("figure", this.revealed() ? "" : "blurred", make("div", "frame", picture), caption);
      const gone = (why) => {
        figure.classList.add("gone");
        picture.alt = `${called}: ${why}`;
        caption.append(make("span", "warn", ` ${why}`));
      };
      if (!part.sha256) {
        gone("there was no image when it was asked");
        picture.remove();
      } else {
        this.source.image(run.number, item.task, part.sha256).then((found) => {
          if (found.gone) gone(found.gone);
          if (found.url) picture.src = found.url;
          else picture.remove();
          if (found.url?.startsWith("blob:")) picture.addEventListener("load", () => URL.revokeObjectURL(found.url));
        }, () => gone("it could not be loaded"));
      }
      return figure;
    }

    words(text) { return this.revealed() ? long(text) : folded(text); }

    answer(item) {
      const box = make("section", "", make("h3", "", "Answer"));
      if (item.reason) box.append(make("p", "dim", "why: ", theirs(item.reason)));
      if (item.answer === undefined) box.append(make("p", "folded", "Redacted"));
      else if (item.answer) box.append(this.words(item.answer));
      else box.append(make("p", "empty", "No text."));
      for (const [name, title] of [["message", "Message"], ["reasoning", "Reasoning"], ["steps", "Steps"], ["notes", "Notes"]]) {
        const value = item[name];
        if (value && (typeof value === "string" || Object.keys(value).length)) box.append(this.more(title, shown(value)));
      }
      return box;
    }

    // A text behind a title, made when it is opened.
    more(title, text) {
      const box = make("details", "", make("summary", "", title));
      box.addEventListener("toggle", () => {
        box.lastElementChild.tagName === "SUMMARY" && box.append(this.words(text));
      });
      return box;
    }

    verdicts(item) {
      const box = make("section", "", make("h3", "", "Verdicts"));
      for (const said of item.judges) box.append(this.verdict(said));
      if (!item.judges.length) {
        box.append(make("p", "empty", item.outcome === "answered" ? "No judge has seen this answer." : "Nothing to judge."));
      }
      return box;
    }

    verdict(said) {
      const head = make("p", "judge", theirs(said.judge, "who"), said.primary ? make("span", "dim", " primary ") : " ");
      head.append(make("span", `chip label ${said.label ? "" : "warn"}`, theirs(said.label || said.state)));
      const box = make("div", "verdict", head);
      const axes = Object.entries(said.axes);
      if (axes.length) {
        const list = make("dl", "pairs");
        for (const [name, value] of axes) list.append(make("dt", "", theirs(name)), this.value(shown(value), isText(shown(value))));
        box.append(list);
      }
      if (said.reason) box.append(this.words(said.reason));
      (said.raw || []).forEach((raw, at) => {
        box.append(this.more(said.raw.length > 1 ? `Raw reply ${at + 1} of ${said.raw.length}` : "Raw reply", raw));
      });
      return box;
    }

    numbers(run, item) {
      const list = make("dl", "pairs");
      const pair = (name, ...value) => list.append(make("dt", "", name), make("dd", "", ...value));
      pair("Time", item.seconds === null ? "unknown" : `${number(item.seconds)} s`);
      const { input_tokens: taken, output_tokens: given, reasoning_tokens: thought } = item.usage;
      pair("Tokens", `${number(taken)} in, ${number(given)} out${thought ? `, ${number(thought)} reasoning` : ""}`);
      for (const { judge, usage } of item.judges) {
        if (usage.input_tokens || usage.output_tokens) {
          pair("Judge's tokens", `${number(usage.input_tokens)} in, ${number(usage.output_tokens)} out `, theirs(judge, "dim"));
        }
      }
      pair("Cost", "unknown for one sample", run.about.cost_usd === null ? "" : `; the run's: $${number(run.about.cost_usd)}`);
      if (item.model) pair("Model", theirs(item.model));
      if (item.at) pair("When", theirs(item.at));
      for (const [name, value] of Object.entries(item.tags || {})) {
        list.append(make("dt", "", theirs(name)), this.value(shown(value), item.folded.includes(name)));
      }
      if (item.target !== null && item.target !== undefined) {
        list.append(make("dt", "", "Target"), this.value(shown(item.target), true));
      }
      return make("section", "", make("h3", "", "Time, tokens, tags"), list);
    }

    // The value of a pair; a text only where it is revealed.
    value(text, isText) {
      return make("dd", "", isText && !this.revealed() ? make("span", "dim", "folded") : theirs(text));
    }
  }

  HV.Pane = Pane;
}
