"use strict";
// Texts of strangers: only ever text, each in its own direction, with marks that nobody could see made visible.

{
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/;
  const EACH = new RegExp(HIDDEN.source, "g");
  const LINES = 200;
  const LETTERS = 20000;
  const STEP = 100000;

  // Put a text into an element; what was in it goes.
  function fill(element, text) {
    if (!HIDDEN.test(text)) {
      element.textContent = text;
      return element;
    }
    element.replaceChildren();
    let from = 0;
    for (const found of text.matchAll(EACH)) {
      if (found[0] === "\r" && text[found.index + 1] === "\n") continue;
      element.append(text.slice(from, found.index), mark(found[0]));
      from = found.index + found[0].length;
    }
    element.append(text.slice(from));
    return element;
  }

  function mark(letter) {
    const span = document.createElement("span");
    span.className = "mark";
    span.textContent = `U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    return span;
  }

  // An element with a class and children; a child that is a string is a text of ours.
  function make(tag, kind = "", ...children) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  // A text of strangers in a line of ours.
  const theirs = (text, kind = "") => fill(make("bdi", kind), String(text));

  // A text of any length: its beginning, and the rest when it is asked for; a very long one in steps, since a browser
  // cannot lay out millions of characters at once.
  function long(text) {
    const box = make("div", "words");
    box.dir = "auto";
    let cut = ending(text);
    fill(box, text.slice(0, cut));
    if (cut >= text.length) return box;
    const more = make("button", "more");
    more.type = "button";
    const name = () => {
      const left = text.length - cut;
      const what = left > STEP ? `Show the next ${STEP.toLocaleString("en")} of` : "Show the rest:";
      more.textContent = `${what} ${left.toLocaleString("en")} characters more`;
    };
    more.addEventListener("click", () => {
      cut = Math.min(text.length, cut + STEP);
      fill(box, text.slice(0, cut));
      if (cut < text.length) name();
      else more.remove();
    });
    name();
    return make("div", "", box, more);
  }

  function ending(text) {
    let at = -1;
    for (let line = 0; line < LINES; line++) {
      at = text.indexOf("\n", at + 1);
      if (at < 0) return Math.min(text.length, LETTERS);
    }
    return Math.min(at, LETTERS);
  }

  // What stands where a text is folded.
  function folded(text) {
    const lines = text.split("\n").length;
    const size = `${text.length.toLocaleString("en")} characters${lines > 1 ? `, ${lines.toLocaleString("en")} lines` : ""}`;
    return make("p", "folded", `Folded: ${size}`);
  }

  Object.assign(HV, { fill, make, theirs, long, folded });
}
