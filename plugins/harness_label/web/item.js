"use strict";
// The answer to label, the last one with what the judge said of it, and the guideline: texts of strangers, only ever text.

{
  const $ = (id) => document.getElementById(id);
  const { make, theirs, long } = HV;

  HV.drawItem = (item) => {
    $("chips").replaceChildren(
      make("span", "chip", theirs(item.title)),
      make("span", "chip", make("span", "dim", "category "), theirs(item.category || "none")),
    );
    $("gone").hidden = !item.gone;
    if (item.gone) $("gone").replaceChildren("An image cannot be seen: ", theirs(item.gone), ". Skip this one.");
    else $("gone").replaceChildren();
    $("question").replaceChildren(long(item.question));
    $("answer").replaceChildren(long(item.answer));
    $("labels").querySelector(".choices").replaceChildren(...item.labels.map(({ label, meaning }, at) => {
      const radio = make("input");
      Object.assign(radio, { type: "radio", name: "label", value: String(at) });
      const digit = at < 9 ? [" ", make("kbd", "", String(at + 1))] : [];
      const why = meaning ? [" ", make("span", "meaning", theirs(meaning))] : [];
      return make("label", "", radio, ...digit, " ", theirs(label), ...why);
    }));
  };

  HV.drawLast = (last) => {
    $("last").hidden = !last;
    if (!last) return $("last-text").replaceChildren();
    const box = make("div", "", long(last.question), long(last.answer));
    if (last.label === null) {
      box.prepend(make("p", "", "You skipped:"));
    } else {
      box.prepend(make("p", "", "You said ", theirs(last.label, "chip label"), " of:"));
      if (last.counts !== last.label) {
        box.append(make("p", "", "Your first label counts, since you had seen the judge's: ", theirs(last.counts, "chip label")));
      }
      box.append(make("h3", "", "The judge"));
      if (last.machine) {
        box.append(make("p", "", "It said ", theirs(last.machine.label, "chip label"), "."));
        if (last.machine.reason) box.append(long(last.machine.reason));
      } else {
        box.append(make("p", "dim", "It gave no label."));
      }
    }
    return $("last-text").replaceChildren(box);
  };

  HV.drawSplits = (splits) => {
    const several = new Set(splits.map((each) => each.run)).size > 1;
    const head = make("tr", "", ...["Split", "Done", "Skipped", "To go"].map((name) => {
      const cell = make("th", "", name);
      cell.scope = "col";
      return cell;
    }));
    const rows = splits.map((each) => {
      const name = make("th", "", ...(several ? [theirs(each.run), " "] : []), theirs(each.title));
      name.scope = "row";
      return make("tr", "", name, ...[each.done, each.skipped, each.open].map((count) => make("td", "", String(count))));
    });
    $("splits").replaceChildren(make("table", "", make("thead", "", head), make("tbody", "", ...rows)));
  };

  // A guideline in Markdown: headings and lists are shown as such, all else as it is written.
  HV.drawGuideline = (text, labels) => {
    const boxes = [];
    let list = null;
    let lines = [];
    const flush = () => {
      if (lines.length) boxes.push(HV.fill(make("p"), lines.join("\n")));
      lines = [];
    };
    for (const line of text.split(/\r?\n/)) {
      const heading = /^#{1,6}\s+(.*)$/.exec(line);
      const point = /^\s*[-*]\s+(.*)$/.exec(line);
      if (heading || point || !line.trim()) flush();
      if (!point) list = null;
      if (heading) boxes.push(HV.fill(make("h3"), heading[1]));
      else if (point) {
        if (!list) boxes.push(list = make("ul"));
        list.append(HV.fill(make("li"), point[1]));
      } else if (line.trim()) lines.push(line);
    }
    flush();
    const said = labels.filter((each) => each.meaning);
    if (said.length) {
      const pairs = make("dl", "pairs");
      for (const { label, meaning } of said) pairs.append(make("dt", "", theirs(label)), make("dd", "", theirs(meaning)));
      boxes.unshift(pairs);
    }
    if (!boxes.length) boxes.push(make("p", "dim", "There is no guideline for this split. Agree on one before you label."));
    $("guideline-text").replaceChildren(...boxes);
  };
}
