"use strict";
// One run's rows, column by column, as they come.

{
  const COLUMNS = ["id", "part", "epoch", "outcome", "label", "category", "flags", "disagree", "seconds", "excerpt"];

  class Run {
    constructor(number, about) {
      this.number = number;
      this.about = about;
      this.version = 0;
      this.clear();
    }

    clear() {
      Object.assign(this, { generation: -1, position: 0, texts: [], parts: [], judges: [], said: [], unreadable: 0 });
      for (const name of COLUMNS) this[name] = [];
      this.names = new Map();
      this.settled = false;
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
      this.unreadable = rows.unreadable;
      this.settled = rows.settled;
      while (this.judges.length < rows.judges.length) {
        this.judges.push(rows.judges[this.judges.length]);
        this.said.push(new Array(this.count).fill(0));
      }
      rows.n.forEach((n, at) => this.put(n, rows, at));
      if (rows.n.length) this.version++;
      return rows.n;
    }

    put(n, rows, at) {
      const fresh = n >= this.count;
      for (const name of COLUMNS) this[name][n] = rows[name][at] ?? "";
      this.said.forEach((column, judge) => { column[n] = rows.said[judge]?.[at] ?? 0; });
      if (fresh) this.names.set(this.name(n), n);
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
