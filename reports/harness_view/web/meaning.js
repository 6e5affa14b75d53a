"use strict";
// Whether an item counts as good or bad, from how it counts in the metrics of its split: never by the label's name.

{
  const { make, theirs } = HV;
  const MARKS = { good: "✓", bad: "✗", neutral: "·" };
  const WORDS = { good: "counts as good", bad: "counts as bad", neutral: "counts as neither good nor bad" };

  // The letters of a row stand for the metrics of its split, the main one first.
  function meaning(metrics, letters) {
    if (!metrics?.length || !letters) return "neutral";
    const turned = { lower: "bad", higher: "good" };
    for (const [at, metric] of metrics.entries()) {
      if ("1+".includes(letters[at]) && turned[metric.better]) return letters[at] === "+" ? "neutral" : turned[metric.better];
    }
    if (letters[0] !== "0") return "neutral";
    return { lower: "good", higher: "bad" }[metrics[0].better] ?? "neutral";
  }

  // A label as a round chip: its colour, a mark beside it, and words for those who hear it. Where the judge's own word is
  // another, that stands first.
  function labelled(label, kind, prefix = "", own = "") {
    const chip = make("span", `chip label ${kind}`);
    chip.title = WORDS[kind];
    const mark = make("span", "sign", MARKS[kind]);
    mark.setAttribute("aria-hidden", "true");
    chip.append(mark, prefix && make("span", "what", prefix), own && theirs(own), own && " → counts as ", theirs(label), make("span", "unseen", `, ${WORDS[kind]}`));
    return chip;
  }

  // An outcome as an angular tag; never the form of a label.
  const outcome = (name, prefix = "") => make("span", `tag ${name === "answered" ? "" : "warn"}`, prefix && make("span", "what", prefix), theirs(name));

  Object.assign(HV, { meaning, labelled, outcome });
}
