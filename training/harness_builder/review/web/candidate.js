"use strict";
// The candidate in front of the reviewer, and the one behind with what the model thinks of it.

{
  const $ = (id) => document.getElementById(id);
  const { make, theirs, long } = HV;
  const DONE = { keep: "You kept", drop: "You dropped", fix: "You kept, with a fix", skip: "You skipped" };
  const ASKED = new Map([
    ["text_unsafe", "the question alone is unsafe"],
    ["image_harmful", "an image alone shows something harmful"],
    ["category", "category"],
    ["sub_category", "sub-category"],
  ]);
  const PLACES = [...ASKED.keys()];

  const named = (name, value) => make("span", "chip", make("span", "dim", `${name} `), theirs(value || "none"));

  HV.draw = (candidate) => {
    $("chips").replaceChildren(named("category", candidate.category), named("source", candidate.source));
    $("question").replaceChildren(long(candidate.question));
  };

  HV.drawLast = (last) => {
    $("last").hidden = !last;
    if (!last) return $("last-text").replaceChildren();
    const box = make("div", "", make("p", "", `${DONE[last.decision]}:`), long(last.question));
    const opinion = Object.entries(last.opinion).sort(([one], [other]) => PLACES.indexOf(one) - PLACES.indexOf(other));
    if (last.decision !== "skip") {
      box.append(make("h3", "", "The model"));
      if (!opinion.length) box.append(make("p", "dim", "It has not said anything."));
    }
    if (opinion.length) {
      const list = make("dl", "pairs");
      for (const [name, value] of opinion) list.append(make("dt", "", theirs(ASKED.get(name) ?? name)), make("dd", "", theirs(value)));
      box.append(list);
    }
    $("last-text").replaceChildren(box);
  };
}
