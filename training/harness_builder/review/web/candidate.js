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

  function figure(image, place) {
    const caption = make("figcaption", "", `Image ${place} of 2: `, theirs(image.object));
    const frame = make("div", "frame");
    if (image.why) {
      frame.append(make("span", "warn", `It cannot be seen: ${image.why}.`));
    } else {
      const picture = make("img");
      picture.addEventListener("error", () => frame.replaceChildren(make("span", "warn", "It cannot be seen any more.")));
      picture.src = `/image/${image.sha256}`;
      frame.append(picture);
    }
    return make("figure", "", frame, caption);
  }

  HV.draw = (candidate) => {
    $("chips").replaceChildren(named("category", candidate.category), named("source", candidate.source));
    $("question").replaceChildren(long(candidate.question));
    $("images").replaceChildren(...candidate.images.map((image, at) => figure(image, at + 1)));
  };

  HV.blur = (blurred) => {
    [...$("images").children].forEach((each, at) => {
      each.classList.toggle("blurred", blurred);
      const picture = each.querySelector("img");
      if (picture) picture.alt = `Image ${at + 1} of 2, ${blurred ? "blurred" : "revealed"}`;
    });
    $("reveal").firstElementChild.textContent = blurred ? "Reveal" : "Blur";
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
