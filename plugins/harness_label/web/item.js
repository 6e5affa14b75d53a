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
    const said = item.labels.filter(({ meaning }) => meaning);
    $("meanings").hidden = !said.length;
    $("meanings").replaceChildren(pairs(said));
    $("labels").querySelector(".choices").replaceChildren(...item.labels.map(({ label }, at) => {
      const radio = make("input");
      Object.assign(radio, { type: "radio", name: "label", value: String(at) });
      const digit = at < 9 ? [" ", make("kbd", "", String(at + 1))] : [];
      return make("label", "", radio, ...digit, " ", theirs(label));
    }));
  };

  // Labels with what they mean.
  const pairs = (said) => {
    const list = make("dl", "pairs");
    for (const { label, meaning } of said) list.append(make("dt", "", theirs(label)), make("dd", "", theirs(meaning)));
    return list;
  };

  HV.drawLast = (last, before) => {
    for (const [id, said] of [["last", last], ["before", before]]) {
      $(id).hidden = !said;
      $(`${id}-text`).replaceChildren(...(said ? [tellSaid(said)] : []));
    }
  };

  const tellSaid = (said) => {
    const box = make("div", "", long(said.question), long(said.answer));
    if (said.label === null) {
      box.prepend(make("p", "", "You skipped:"));
      return box;
    }
    box.prepend(make("p", "", "You said ", theirs(said.label, "chip label"), " of:"));
    if (said.counts !== said.label) {
      box.append(make("p", "", "Your first label counts, since you had seen the judge's: ", theirs(said.counts, "chip label")));
      box.append(make("p", "dim", "To withdraw it, press u and skip."));
    }
    if (said.machine) {
      box.append(make("h3", "", "The judge"), make("p", "", "It said ", theirs(said.machine.label, "chip label"), "."));
      if (said.machine.reason) box.append(long(said.machine.reason));
    } else {
      box.append(make("p", "dim", "The judge's label is shown when you have labelled another answer. Until then u repairs a slip."));
    }
    return box;
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

  // A guideline in Markdown: headings, lists, emphasis and code, as elements of ours; HTML in it is text like any other.
  const INLINE = /`([^`\n]+)`|\*\*(?=\S)([^*]+)\*\*|__(?=\S)([^_]+)__|\*(?=\S)([^*]+)\*|(?<!\w)_(?=\S)([^_]+)_(?!\w)/g;

  const inline = (element, text) => {
    let from = 0;
    const plain = (upTo) => { if (upTo > from) element.append(HV.fill(make("span"), text.slice(from, upTo))); };
    for (const found of text.matchAll(INLINE)) {
      plain(found.index);
      const [, code, strong, bold, em, slanted] = found;
      const tag = code ? "code" : strong || bold ? "strong" : "em";
      element.append(HV.fill(make(tag), code ?? strong ?? bold ?? em ?? slanted));
      from = found.index + found[0].length;
    }
    plain(text.length);
    return element;
  };

  const markdown = (text) => {
    const boxes = [];
    let list = null; // the list that goes on
    let open = null; // the paragraph or point that goes on: where it goes, and its lines
    let code = null; // lines of a block of code
    const flush = () => {
      if (open) inline(open.element, open.lines.join(" "));
      open = null;
    };
    const start = (element, line) => { open = { element, lines: [line.trim()] }; };
    for (const line of text.split(/\r?\n/)) {
      const fence = /^\s*(```|~~~)/.test(line);
      if (code && !fence) {
        code.push(line);
        continue;
      }
      if (fence) {
        flush();
        if (code) boxes.push(make("pre", "", HV.fill(make("code"), code.join("\n"))));
        code = code ? null : [];
        list = null;
        continue;
      }
      const heading = /^#{1,6}\s+(.*)$/.exec(line);
      const point = /^\s*([-*+]|\d{1,9}[.)])\s+(.*)$/.exec(line);
      if (heading) {
        flush();
        list = null;
        boxes.push(inline(make("h3"), heading[1].replace(/\s+#+\s*$/, "")));
      } else if (point) {
        flush();
        const kind = /\d/.test(point[1]) ? "ol" : "ul";
        if (!list || list.tagName.toLowerCase() !== kind) boxes.push(list = make(kind));
        const item = make("li");
        list.append(item);
        start(item, point[2]);
      } else if (!line.trim()) {
        flush();
      } else if (open) {
        open.lines.push(line.trim());
      } else {
        list = null;
        const paragraph = make("p");
        boxes.push(paragraph);
        start(paragraph, line);
      }
    }
    flush();
    if (code) boxes.push(make("pre", "", HV.fill(make("code"), code.join("\n"))));
    return boxes;
  };

  HV.drawGuideline = (text, labels) => {
    const boxes = markdown(text);
    const said = labels.filter((each) => each.meaning);
    if (said.length) boxes.unshift(pairs(said));
    if (!boxes.length) boxes.push(make("p", "dim", "There is no guideline for this split. Agree on one before you label."));
    $("guideline-text").replaceChildren(...boxes);
  };
}
