"use strict";
// One sample, whole: its label and outcome, what was asked in order, the answer, the verdicts, time and tokens.

{
  const { make, theirs, long, folded } = HV;

  const number = (value) => (typeof value === "number" ? value.toLocaleString("en") : "unknown");

  const several = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

  const isText = (value) => /\S\s+\S/.test(value);

  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

  const LINES = 14; // of a folded answer
  const WIDE = 90; // letters of a line
  const DRAWN = 20000; // letters of the longest text that is drawn as Markdown

  // The beginning of a long text, to the end of a line or a word; the whole where it is not long.
  function beginning(text) {
    let lines = 0;
    for (let at = 0; at < text.length; ) {
      const end = text.indexOf("\n", at);
      const line = (end < 0 ? text.length : end) - at;
      const took = Math.max(1, Math.ceil(line / WIDE));
      if (lines + took > LINES) {
        if (lines >= LINES / 2) return text.slice(0, at).trimEnd();
        const cut = at + (LINES - lines) * WIDE;
        const word = text.lastIndexOf(" ", cut);
        return text.slice(0, word > at ? word : cut);
      }
      lines += took;
      at = end < 0 ? text.length : end + 1;
    }
    return text;
  }

  class Pane {
    // source says where images come from; revealed() whether the sample is, raw() whether answers stay as they came.
    constructor(source, revealed, raw) { Object.assign(this, { source, revealed, raw, urls: [], unfolded: "" }); }

    // An article of one item; null for none.
    article(run, item, heading) {
      const box = make("article", "");
      const top = make("div", "top", make("h2", "", theirs(heading || item?.item || "")));
      box.append(top);
      box.setAttribute("aria-label", heading ? `Run ${heading}` : "Sample");
      if (!item) {
        box.append(make("p", "empty", "This run has no such sample."));
        return box;
      }
      if (heading) top.append(make("p", "name", theirs(item.item), " · ", theirs(run.about.model)));
      top.append(this.chips(run, item));
      box.append(this.question(run, item), this.answer(item), this.verdicts(run, item), this.numbers(run, item));
      box.dataset.unprompted = unprompted(item);
      return box;
    }

    // What it counts as and how generation ended, each in its own form and with its name.
    chips(run, item) {
      const n = run.names.get(item.item);
      const line = make("p", "chips");
      if (item.label) line.append(HV.labelled(item.label, n === undefined ? "neutral" : run.meaning(n), "label: "));
      else line.append(make("span", "chip label none", make("span", "what", "label: "), "unresolved"));
      line.append(HV.outcome(item.outcome, "outcome: "));
      for (const flag of item.flags) line.append(make("span", "tag", make("span", "what", "flag: "), theirs(flag)));
      const labels = new Set(item.judges.map((judge) => judge.label).filter(Boolean));
      if (labels.size > 1) line.append(make("span", "chip warn", "judges differ"));
      if (item.category) line.append(make("span", "dim", "category: ", theirs(item.category)));
      return line;
    }

    question(run, item) {
      const box = make("section", "", make("h3", "", "Asked"));
      if (!item.prompt) {
        box.append(make("p", "folded", `Redacted: ${several(item.images, "image")}, ${several(item.texts, "text")}`));
        return box;
      }
      this.parts(box, run, item, item.prompt);
      if (!item.prompt.length) box.append(make("p", "empty", "Nothing is stored of what was asked."));
      if (item.original) box.append(this.original(run, item));
      return box;
    }

    // The question as the task puts it, where the run's attack changed what was asked; judges read this one.
    original(run, item) {
      const box = make("details", "original", make("summary", "", "As the task puts it, and as judges read it"));
      for (const note of item.attack_notes || []) box.append(make("p", "warn", theirs(note)));
      this.parts(box, run, item, item.original);
      return box;
    }

    // The texts and images of a prompt in order, each speaker named once.
    parts(box, run, item, prompt) {
      const images = prompt.filter((part) => "image" in part).length;
      const talk = prompt.some((part) => part.role === "assistant");
      let said = "", seen = 0, turn = 0;
      let row = null;
      for (const part of prompt) {
        const speaker = `${part.role}${part.turn || ""}`;
        if (part.role && speaker !== said) {
          said = speaker;
          if (part.role === "user") turn++;
          box.append(talk ? this.speaker(item, part, turn) : make("p", "role", theirs(part.role)));
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
    }

    // Who speaks in a dialogue: the user's turn, a reply of the model with what judges say of it, or a given one.
    speaker(item, part, turn) {
      if (part.role === "system") return make("p", "role", theirs(part.role));
      const line = make("p", "role turn", make("b", "", `Turn ${turn}`));
      line.append(part.role === "user" ? " · user" : part.turn ? " · model's reply" : " · reply from the data");
      if (part.role === "assistant" && part.turn) line.append(...this.ofTurn(item, part.turn));
      return line;
    }

    // What judges say of the reply of one turn, where they judge each.
    ofTurn(item, turn) {
      return item.judges.filter((said) => typeof said.axes[`turn-${turn}`] === "string")
        .flatMap((said) => [" ", make("span", "tag", make("span", "what", `${said.judge}: `), theirs(said.axes[`turn-${turn}`]))]);
    }

    image(run, item, part, place, of) {
      const picture = make("img");
      const called = `Image ${place} of ${of}`;
      picture.alt = `${called}, ${this.revealed() ? "revealed" : "blurred"}`;
      const caption = make("figcaption", "", make("b", "", called), " ", theirs(part.image || "", "dim"));
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
      const turns = (item.prompt || []).some((part) => part.turn) ? countTurns(item.prompt) : 0;
      if (turns) box.append(make("p", "role turn", make("b", "", `Turn ${turns}`), " · model's last reply", ...this.ofTurn(item, turns)));
      if (item.reason) box.append(make("p", "dim", "why: ", theirs(item.reason)));
      if (item.answer === undefined) box.append(make("p", "folded", "Redacted"));
      else if (item.answer && this.revealed()) this.reply(box, item);
      else if (item.answer) box.append(folded(item.answer));
      else box.append(make("p", "empty", "No text."));
      for (const [name, title] of [["message", "Message"], ["reasoning", "Reasoning"], ["steps", "Steps"], ["notes", "Notes"]]) {
        const value = name === "steps" && item.steps ? otherSteps(item.steps) : item[name];
        if (value && (typeof value === "string" || Object.keys(value).length)) box.append(this.more(title, shown(value)));
      }
      return box;
    }

    // The answer: drawn, or as it came; a long one with its beginning, and a button for the whole.
    reply(box, item) {
      const text = item.answer;
      const head = beginning(text);
      const whole = head.length === text.length || this.unfolded === item.item;
      const drawn = (words) => (this.raw() || words.length > DRAWN ? null : HV.markdown(words)) ?? long(words);
      const place = make("div", "reply", drawn(whole ? text : head));
      const copy = make("button", "copy", "Copy");
      copy.type = "button";
      copy.title = "Copy the answer as the judge saw it";
      copy.addEventListener("click", () => HV.copy(text, copy));
      box.firstElementChild.append(copy);
      box.append(place);
      if (head.length === text.length) return;
      const more = make("button", "unfold");
      more.type = "button";
      const name = (open) => {
        more.setAttribute("aria-expanded", open);
        const left = (text.length - head.length).toLocaleString("en");
        more.replaceChildren(open ? "Fold the answer " : `Show the whole answer: ${left} characters more `, make("kbd", "", "e"));
      };
      more.addEventListener("click", () => {
        const open = this.unfolded !== item.item;
        this.unfolded = open ? item.item : "";
        place.replaceChildren(drawn(open ? text : head));
        name(open);
      });
      name(whole);
      box.append(more);
    }

    // A text behind a title, made when it is opened.
    more(title, text) {
      const box = make("details", "", make("summary", "", title));
      box.addEventListener("toggle", () => {
        box.lastElementChild.tagName === "SUMMARY" && box.append(this.words(text));
      });
      return box;
    }

    verdicts(run, item) {
      const box = make("section", "", make("h3", "", "Verdicts"));
      for (const said of item.judges) box.append(this.verdict(run, item, said));
      if (!item.judges.length) {
        box.append(make("p", "empty", item.outcome === "answered" ? "No judge has seen this answer." : "Nothing to judge."));
      }
      return box;
    }

    verdict(run, item, said) {
      const head = make("p", "judge", theirs(said.judge, "who"), said.primary ? make("span", "dim", " main judge ") : " ");
      const n = run.names.get(item.item);
      const kind = n === undefined ? "neutral" : run.meaning(n, run.judges.indexOf(said.judge));
      head.append(said.label ? HV.labelled(said.label, kind, "label: ", said.own) : make("span", "tag warn", make("span", "what", "no label: "), theirs(said.state)));
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
      if (item.prompt && asksModel(said)) box.append(this.prompt(run, item, said));
      return box;
    }

    // What the judge was sent, built again when it is asked for.
    prompt(run, item, said) {
      const box = make("details", "prompt", make("summary", "", "Judge's prompt"));
      box.addEventListener("toggle", async () => {
        if (!box.open || box.dataset.made) return;
        if (!this.revealed()) {
          box.dataset.made = "1";
          box.append(make("p", "folded", "Folded: reveal the sample to read what the judge was sent"));
          return;
        }
        box.dataset.made = "1";
        const found = await this.source.prompt(run.number, item.item, said.judge, said).catch(() => ({ why: "it could not be loaded", prompts: [] }));
        if (found.why) {
          box.append(make("p", "empty", "No prompt: ", theirs(found.why), "."));
          return;
        }
        const hidden = found.calls - found.prompts.length;
        const more = hidden > 0 ? ` ${hidden} later ${hidden === 1 ? "call is" : "calls are"} not shown.` : "";
        box.append(make("p", "dim", "Rebuilt from rubric version ", theirs(found.version), `. Its digest is the one that the verdict holds; only the random marks around data differ.${more}`));
        setTimeout(() => box.dataset.reached && box.open && HV.reach(box));
        found.prompts.forEach((parts, at) => {
          if (found.prompts.length > 1) box.append(make("p", "role", `Call ${at + 1} of ${found.calls}`));
          let role = "";
          for (const part of parts) {
            if (part.role !== role) box.append(make("p", "role", theirs((role = part.role))));
            box.append("image" in part ? make("p", "folded", "Image: ", theirs(part.image)) : long(part.text));
          }
        });
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
      if (item.model) pair("Reported by the provider as", theirs(item.model));
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

  // How often the user speaks.
  const countTurns = (prompt) => prompt.filter((part, at) => part.role === "user" && prompt[at - 1]?.role !== "user").length;

  // The steps that are no reply of a dialogue: those stand in the conversation.
  const otherSteps = (steps) => Object.fromEntries(Object.entries(steps).filter(([name]) => !/^turn-\d+$/.test(name)));

  // A rule asks no model.
  const asksModel = (said) => said.raw?.length || said.models.length;

  // Why an item has no judge's prompt to open; empty where it has one.
  function unprompted(item) {
    if (!item.judges.length) return "no judge has seen this answer";
    if (!item.prompt) return "prompts are withheld: texts are redacted";
    if (item.judges.some(asksModel)) return "";
    const names = item.judges.map(({ judge }) => judge.replace(/-[0-9a-f]{8}$/, ""));
    return names.length > 1 ? `${names.join(" and ")} are rules: they have no prompt` : `${names[0]} is a rule: it has no prompt`;
  }

  HV.Pane = Pane;
}
