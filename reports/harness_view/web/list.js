"use strict";
// A list of any length: only the rows in sight are elements.

{
  const HEIGHT = 54;
  const BEYOND = 6;

  class List {
    // draw(row, n) fills an element with a row; chosen(n) is told what was clicked.
    constructor(box, sizer, { draw, chosen }) {
      Object.assign(this, { box, sizer, draw, rows: [], shown: new Map(), current: -1 });
      box.addEventListener("scroll", () => this.paint(), { passive: true });
      new ResizeObserver(() => this.paint()).observe(box);
      box.addEventListener("click", (event) => {
        const row = event.target.closest("[role=option]");
        if (row) chosen(Number(row.dataset.n));
      });
    }

    // Show these rows, by their numbers; where the reader stands stays.
    set(rows) {
      this.rows = rows;
      this.sizer.style.height = `${Math.max(1, rows.length) * HEIGHT}px`;
      this.repaint();
    }

    // Draw anew what is in sight.
    repaint() {
      for (const row of this.shown.values()) row.dataset.n = "";
      this.paint();
    }

    paint() {
      const top = Math.max(0, Math.floor(this.box.scrollTop / HEIGHT) - BEYOND);
      const end = Math.min(this.rows.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / HEIGHT) + BEYOND);
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
      row.setAttribute("role", "option");
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
      row.style.transform = `translateY(${at * HEIGHT}px)`;
      row.setAttribute("aria-posinset", at + 1);
      row.setAttribute("aria-setsize", this.rows.length);
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
        const top = at * HEIGHT;
        if (top < this.box.scrollTop) this.box.scrollTop = top;
        const most = top + HEIGHT - this.box.clientHeight;
        if (most > this.box.scrollTop) this.box.scrollTop = most;
      }
      this.paint();
    }

    // Rows that a page holds.
    get page() { return Math.max(1, Math.floor(this.box.clientHeight / HEIGHT) - 1); }

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

  HV.List = List;
}
