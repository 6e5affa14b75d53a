"use strict";
// One run's rows, column by column, as they come; and their order.

{
  const COLUMNS = ["id", "part", "epoch", "outcome", "label", "category", "flags", "disagree", "counts", "seconds", "excerpt", "question"];

  class Run {
    constructor(number, about) {
      this.number = number;
      this.about = about;
      this.version = 0;
      this.clear();
    }

    clear() {
      Object.assign(this, { generation: -1, position: 0, texts: [], parts: [], metrics: [], judges: [], said: [], counted: [], unreadable: 0 });
      for (const name of COLUMNS) this[name] = [];
      this.names = new Map();
      this.keys = []; // of the order of the data
      this.settled = false;
      this.repeated = false; // some sample was asked in several epochs
      this.ordered = "";
    }

    get count() { return this.id.length; }

    // Where the next rows begin.
    get cursor() { return { generation: Math.max(0, this.generation), position: this.position, texts: this.texts.length }; }

    // Take in rows of this generation; the numbers of those that changed.
    merge(rows) {
      this.generation = rows.generation;
      this.position = rows.position;
      this.texts.push(...rows.texts);
      this.parts = rows.parts;
      this.metrics = rows.metrics;
      this.unreadable = rows.unreadable;
      this.settled = rows.settled;
      while (this.judges.length < rows.judges.length) {
        this.judges.push(rows.judges[this.judges.length]);
        this.said.push(new Array(this.count).fill(0));
        this.counted.push(new Array(this.count).fill(0));
      }
      rows.n.forEach((n, at) => this.put(n, rows, at));
      if (rows.n.length) this.version++;
      return rows.n;
    }

    put(n, rows, at) {
      const fresh = n >= this.count;
      for (const name of COLUMNS) this[name][n] = rows[name][at] ?? "";
      this.said.forEach((column, judge) => { column[n] = rows.said[judge]?.[at] ?? 0; });
      this.counted.forEach((column, judge) => { column[n] = rows.counted[judge]?.[at] ?? 0; });
      if (fresh) this.names.set(this.name(n), n);
      this.keys[n] = padded(this.id[n]);
      if (this.epoch[n] > 0) this.repeated = true;
    }

    // The item's name: task, split, sample and epoch.
    name(n) {
      const title = this.parts[this.part[n]];
      const cut = title.lastIndexOf(":");
      return `${title.slice(0, cut)}/${title.slice(cut + 1)}/${this.id[n]}#${this.epoch[n]}`;
    }

    word(column, n) { return this.texts[this[column][n]]; }

    // Numbers of label texts as one judge has them; -1 is what the item counts as.
    labels(judge) { return judge < 0 ? this.label : this.said[judge]; }

    // How a row counts in the metrics of its split, a letter each, as one judge has it.
    letters(n, judge = -1) { return this.texts[(judge < 0 ? this.counts : this.counted[judge])[n]] || ""; }

    meaning(n, judge = -1) { return HV.meaning(this.metrics[this.part[n]], this.letters(n, judge)); }

    // All rows by a column, `-` before its name turns it around; rows that are equal there are in the order of the data.
    order(sort, judge = -1) {
      const wanted = `${this.version} ${this.generation} ${this.count} ${sort} ${judge}`;
      if (wanted === this.ordered) return this.rows;
      const down = sort.startsWith("-");
      const column = { label: this.labels(judge), outcome: this.outcome, category: this.category }[sort.replace("-", "")];
      const texts = { question: this.question, answer: this.excerpt }[sort.replace("-", "")];
      const rows = [...this.data()];
      if (column) {
        const places = ranks(this.texts);
        const label = sort.replace("-", "") === "label"; // what counts as bad comes first
        const kinds = label ? rows.reduce((found, n) => { found[n] = KINDS[this.meaning(n, judge)]; return found; }, []) : null;
        const compare = (a, b) => (label ? kinds[a] - kinds[b] : 0) || places[column[a]] - places[column[b]];
        rows.sort((a, b) => (down ? compare(b, a) : compare(a, b)));
      } else if (texts) {
        const places = ranks(texts);
        rows.sort((a, b) => (down ? places[b] - places[a] : places[a] - places[b]));
      } else if (down) {
        rows.reverse();
      }
      this.ordered = wanted;
      this.rows = rows;
      return rows;
    }

    // The order of the data: task, split, sample, epoch; never that in which answers came.
    data() {
      const wanted = `${this.version} ${this.generation} ${this.count}`;
      if (wanted === this.based) return this.base;
      const known = this.about.splits ?? [];
      const places = this.parts.map((title, at) => (known.includes(title) ? known.indexOf(title) : known.length + at));
      const keys = this.keys;
      const compare = (a, b) => places[this.part[a]] - places[this.part[b]] || (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : this.epoch[a] - this.epoch[b]);
      this.based = wanted;
      this.base = keys.map((_, n) => n).sort(compare);
      return this.base;
    }
  }

  const KINDS = { bad: 0, neutral: 1, good: 2 };

  // Text whose order is that of its numbers: sample 10 comes after sample 9.
  const padded = (id) => String(id).replace(/\d{1,15}/g, (digits) => digits.padStart(15, "0"));

  // The place of each text in their order, in any case; equal texts share it.
  function ranks(texts) {
    const keys = texts.map((text) => text.toLowerCase());
    const sorted = [...new Set(keys)].sort();
    const places = new Map(sorted.map((key, at) => [key, at]));
    return keys.map((key) => places.get(key));
  }

  // Which row of another run is the same item; kept until either run changes.
  class Pairs {
    constructor(left, right) { Object.assign(this, { left, right, version: "", other: [] }); }

    update() {
      const version = `${this.left.version} ${this.right.version} ${this.left.generation} ${this.right.generation}`;
      if (version === this.version) return this;
      this.version = version;
      const { left, right } = this;
      this.other = left.id.map((_, n) => right.names.get(left.name(n)) ?? -1);
      this.flips = this.other.map((m, n) => m >= 0 && flipped(left.word("label", n), right.word("label", m)));
      return this;
    }
  }

  const flipped = (one, other) => Boolean(one) && Boolean(other) && one !== other;

  Object.assign(HV, { Run, Pairs });
}
