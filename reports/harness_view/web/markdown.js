"use strict";
// Markdown of strangers as elements of ours: headings, lists, emphasis, code, quotes, tables. Each text is set as text.
// No address is followed or loaded, no image is shown, and HTML stays the text that it is.

{
  const { make, fill } = HV;
  const DEPTH = 6;
  const COLUMNS = 40;
  const SPANS = 20000;

  const FENCE = /^ {0,3}(`{3,}|~{3,})[^`]*$/;
  const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$/;
  const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
  const QUOTE = /^ {0,3}> ?/;
  const ITEM = /^( {0,12})([-*+]|\d{1,9}[.)])[ \t]+(?=\S)/;
  const DELIMITER = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

  // One span at a time; each alternative ends within its line, and in few letters.
  const SPAN = /(`{1,3})([^`\n]{1,2000})\1(?!`)|(\*\*|__)(?=[^\s*_])([^\n]{0,2000}?\S)\3|(?<![\w*])\*(?=[^\s*])([^*\n]{0,2000}?[^\s*])\*(?![\w*])|(?<![\w_])_(?=[^\s_])([^_\n]{0,2000}?[^\s_])_(?![\w_])|~~(?=\S)([^~\n]{1,2000})~~|(!?)\[([^\]\n]{1,500})\]\(([^()\s]{1,1000})(?:[ \t]+"[^"\n]{0,300}")?\)/;

  // An element with the text drawn; null where it has no Markdown.
  HV.markdown = (text) => {
    const box = make("div", "words drawn");
    const left = { spans: SPANS, used: false };
    blocks(box, text.replace(/\r\n?/g, "\n").split("\n"), 0, left);
    return left.used ? paragraph(box) : null;
  };

  function blocks(box, lines, depth, left) {
    let at = 0;
    while (at < lines.length) {
      const line = lines[at];
      const fence = FENCE.exec(line);
      const heading = HEADING.exec(line);
      if (!line.trim()) {
        at++;
      } else if (fence) {
        const mark = fence[1];
        const close = new RegExp(`^ {0,3}${mark[0]}{${mark.length},}[ \\t]*$`);
        let end = at + 1;
        while (end < lines.length && !close.test(lines[end])) end++;
        box.append(make("pre", "", fill(make("code"), lines.slice(at + 1, end).join("\n"))));
        left.used = true;
        at = end + 1;
      } else if (heading) {
        // the page's own headings end with the third level
        const made = spans(make("p", `heading level-${Math.min(4, heading[1].length)}`), heading[2], left);
        made.setAttribute("role", "heading");
        made.setAttribute("aria-level", Math.min(6, heading[1].length + 3));
        box.append(paragraph(made));
        left.used = true;
        at++;
      } else if (RULE.test(line)) {
        box.append(make("hr"));
        left.used = true;
        at++;
      } else if (QUOTE.test(line) && depth < DEPTH) {
        let end = at;
        while (end < lines.length && QUOTE.test(lines[end])) end++;
        const quote = make("blockquote");
        blocks(quote, lines.slice(at, end).map((each) => each.replace(QUOTE, "")), depth + 1, left);
        box.append(quote);
        left.used = true;
        at = end;
      } else if (ITEM.test(line) && depth < DEPTH) {
        at = list(box, lines, at, depth, left);
      } else if (line.includes("|") && at + 1 < lines.length && isTable(line, lines[at + 1])) {
        at = table(box, lines, at, left);
      } else {
        let end = at + 1;
        while (end < lines.length && lines[end].trim() && !starts(lines, end, depth)) end++;
        box.append(paragraph(spans(make("p"), lines.slice(at, end).join("\n"), left)));
        at = end;
      }
    }
  }

  // From its first letter on, as `auto` would, which does not look into elements that have a direction of their own.
  const RIGHT = /^\P{L}*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
  const paragraph = (element, text = element.textContent) => {
    element.dir = RIGHT.test(text.slice(0, 500)) ? "rtl" : "ltr";
    return element;
  };

  function starts(lines, at, depth) {
    const line = lines[at];
    if (FENCE.test(line) || HEADING.test(line) || RULE.test(line)) return true;
    if (line.includes("|") && at + 1 < lines.length && isTable(line, lines[at + 1])) return true;
    return depth < DEPTH && (QUOTE.test(line) || ITEM.test(line));
  }

  function list(box, lines, at, depth, left) {
    const first = ITEM.exec(lines[at]);
    const numbered = /\d/.test(first[2]);
    const made = make(numbered ? "ol" : "ul");
    if (numbered) made.start = Number.parseInt(first[2], 10);
    const indent = first[1].length;
    left.used = true;
    while (at < lines.length) {
      const item = ITEM.exec(lines[at]);
      if (!item || item[1].length > indent + 1 || item[1].length < indent || /\d/.test(item[2]) !== numbered) break;
      const inner = [lines[at].slice(item[0].length)];
      const margin = item[0].length;
      at++;
      while (at < lines.length) {
        const line = lines[at];
        const deep = line.length - line.trimStart().length;
        const next = ITEM.exec(line);
        if (!line.trim()) {
          const after = lines[at + 1] ?? "";
          if (!after.trim() || after.length - after.trimStart().length <= indent) break;
          inner.push("");
        } else if (next && next[1].length <= indent + 1) {
          break;
        } else if (deep > indent) {
          inner.push(line.slice(Math.min(deep, margin)));
        } else if (starts(lines, at, 0) || !inner[inner.length - 1].trim()) {
          break;
        } else {
          inner.push(line);
        }
        at++;
      }
      const entry = paragraph(make("li"), inner.join(" "));
      blocks(entry, inner, depth + 1, left);
      made.append(entry);
      while (at < lines.length && !lines[at].trim() && ITEM.test(lines[at + 1] ?? "")) at++;
    }
    box.append(paragraph(made));
    return at;
  }

  function cells(line) {
    const found = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/);
    return found.slice(0, COLUMNS).map((each) => each.trim().replace(/\\\|/g, "|"));
  }

  const isTable = (line, next) => next.length < 1000 && next.includes("-") && DELIMITER.test(next) && cells(line).length === cells(next).length;

  function table(box, lines, at, left) {
    const heads = cells(lines[at]);
    const made = make("table", "", make("thead", "", make("tr", "", ...heads.map((each) => spans(make("th"), each, left)))));
    const body = make("tbody");
    at += 2;
    while (at < lines.length && lines[at].trim() && lines[at].includes("|")) {
      const found = cells(lines[at]);
      body.append(make("tr", "", ...heads.map((_, place) => paragraph(spans(make("td"), found[place] ?? "", left)))));
      at++;
    }
    made.append(body);
    const frame = make("div", "table", paragraph(made));
    frame.tabIndex = 0; // a wide table is scrolled with keys
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", "Table of the answer");
    box.append(frame);
    left.used = true;
    return at;
  }

  // Text with its spans into an element.
  function spans(element, text, left, depth = 0) {
    let rest = text;
    while (rest) {
      const found = left.spans > 0 && depth < DEPTH ? SPAN.exec(rest) : null;
      if (!found) break;
      left.spans--;
      left.used = true;
      if (found.index) element.append(piece(rest.slice(0, found.index)));
      element.append(span(found, left, depth));
      rest = rest.slice(found.index + found[0].length);
    }
    if (rest) element.append(piece(rest));
    return element;
  }

  const piece = (text) => fill(make("span"), text);

  function span(found, left, depth) {
    const [whole, tick, code, , strong, star, under, gone, image, name, address] = found;
    if (tick) return fill(make("code"), code);
    if (strong !== undefined) return spans(make("strong"), strong, left, depth + 1);
    if (star !== undefined || under !== undefined) return spans(make("em"), star ?? under, left, depth + 1);
    if (gone !== undefined) return spans(make("del"), gone, left, depth + 1);
    if (name === undefined) return piece(whole);
    const where = fill(make("bdi", "address"), address);
    return make("span", "link", image ? "image: " : null, piece(name), " (", where, ")");
  }
}
