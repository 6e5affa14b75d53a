"use strict";
// A list of any length: only the rows in sight are elements. Its heads stay above them, and sort.

{
  const BEYOND = 6;
  const TAIL = 10; // letters at the end of a long name that stay in sight
  const SHORT = 14;

  class List {
    // draw(row, n) fills an element with a row; chosen(n) is told what was clicked, sorted(column) of a head.
    constructor(box, heads, sizer, { draw, chosen, sorted }) {
      Object.assign(this, { box, heads, sizer, draw, rows: [], shown: new Map(), current: -1, height: 34 });
      box.addEventListener("scroll", () => this.paint(), { passive: true });
      new ResizeObserver(() => this.measure()).observe(box);
      box.addEventListener("click", (event) => {
        const head = event.target.closest("[data-sort]");
        if (head) return sorted(head.dataset.sort);
        const row = event.target.closest(".row");
        if (row) chosen(Number(row.dataset.n));
      });
    }

    // The height of a row is the style's, which depends on the width.
    measure() {
      const height = Number.parseInt(getComputedStyle(this.sizer).getPropertyValue("--row"), 10) || 34;
      if (height !== this.height) {
        this.height = height;
        this.size();
        this.select(this.current);
      }
      this.paint();
    }

    size() { this.sizer.style.height = `${Math.max(1, this.rows.length) * this.height}px`; }

    // How the rows are sorted, for those who see and those who hear.
    mark(sort) {
      for (const head of this.heads.children) {
        const { sort: name } = head.firstElementChild.dataset;
        const how = name === sort ? "ascending" : `-${name}` === sort ? "descending" : "none";
        head.setAttribute("aria-sort", how);
      }
    }

    // Show these rows, by their numbers; the row at the top stays there, whatever comes before it.
    set(rows, stay = true) {
      const top = Math.floor(this.box.scrollTop / this.height);
      const first = stay && this.box.scrollTop > 0 ? this.rows[top] : undefined;
      const beyond = this.box.scrollTop - top * this.height;
      this.rows = rows;
      this.size();
      this.box.setAttribute("aria-rowcount", rows.length + 1);
      const at = first === undefined || rows[top] === first ? -1 : rows.indexOf(first);
      if (at >= 0) this.box.scrollTop = at * this.height + beyond;
      this.repaint();
    }

    // Draw anew what is in sight.
    repaint() {
      for (const row of this.shown.values()) row.dataset.n = "";
      this.paint();
    }

    // Pixels of the box that rows can have.
    get room() { return Math.max(0, this.box.clientHeight - this.heads.offsetHeight); }

    paint() {
      const top = Math.max(0, Math.floor(this.box.scrollTop / this.height) - BEYOND);
      const end = Math.min(this.rows.length, Math.ceil((this.box.scrollTop + this.room) / this.height) + BEYOND);
      const spare = [];
      for (const [at, row] of this.shown) {
        if (at < top || at >= end) {
          spare.push(row);
          this.shown.delete(at);
        }
      }
      for (let at = top; at < end; at++) this.place(at, this.shown.get(at) ?? spare.pop() ?? this.add());
      for (const row of spare) row.remove();
      this.point();
    }

    add() {
      const row = HV.make("div", "row");
      row.setAttribute("role", "row");
      this.sizer.append(row);
      return row;
    }

    place(at, row) {
      const n = this.rows[at];
      this.shown.set(at, row);
      if (row.dataset.n !== String(n)) {
        row.dataset.n = n;
        this.draw(row, n);
      }
      row.id = `row-${n}`;
      row.style.transform = `translateY(${at * this.height}px)`;
      row.setAttribute("aria-rowindex", at + 2);
      row.setAttribute("aria-selected", n === this.current);
    }

    point() {
      const there = [...this.shown.values()].some((row) => row.id === `row-${this.current}`);
      if (there) this.box.setAttribute("aria-activedescendant", `row-${this.current}`);
      else this.box.removeAttribute("aria-activedescendant");
    }

    // Mark a row; it comes into sight where `reveal` says so.
    select(n, reveal = true) {
      this.current = n;
      const at = this.rows.indexOf(n);
      if (reveal && at >= 0) {
        const top = at * this.height;
        if (top < this.box.scrollTop) this.box.scrollTop = top;
        const most = top + this.height - this.room;
        if (most > this.box.scrollTop) this.box.scrollTop = most;
      }
      this.paint();
    }

    // Rows that a page holds.
    get page() { return Math.max(1, Math.floor(this.room / this.height) - 1); }

    // The row so many steps from the marked one; undefined beyond the ends.
    step(by) {
      const at = this.rows.indexOf(this.current);
      if (at < 0) return this.rows[by > 0 ? 0 : this.rows.length - 1];
      return this.rows[Math.min(this.rows.length - 1, Math.max(0, at + by))];
    }

    // The next row after the marked one of which `is` holds, from the beginning again at the end.
    after(is) {
      const at = this.rows.indexOf(this.current);
      const round = [...this.rows.slice(at + 1), ...this.rows.slice(0, at + 1)];
      return round.find(is);
    }
  }

  // A name whose middle gives way where it has no room: names of one family differ at their ends.
  HV.midShortened = (name) => {
    const letters = [...String(name)];
    if (letters.length <= SHORT) return [HV.theirs(name)];
    return [HV.theirs(letters.slice(0, -TAIL).join(""), "start"), HV.theirs(letters.slice(-TAIL).join(""), "end")];
  };
  HV.List = List;
}
