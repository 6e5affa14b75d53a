"use strict";
(() => {
  const one = (query, within = document) => within.querySelector(query);
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  for (const each of all("[data-needs-script]")) each.hidden = false;
  const said = one("#said");
  const say = (text) => { said.textContent = text; };

  // the contents: beside the page where there is room, else folded
  const wide = matchMedia("(min-width: 84rem)");
  const contents = one("#contents details");
  const fold = () => { contents.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();

  // every sortable table once: its rows with the runs behind them, and the words that a search looks at
  const tables = all("table.sortable").map((table) => {
    const body = one("tbody", table);
    const lines = [];
    for (const row of body.rows) {
      if (row.classList.contains("member")) lines.at(-1).members.push(row);
      else lines.push({ row, members: [], model: row.cells[0].textContent.toLowerCase(), open: false });
    }
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const place = table.closest("section");
    const title = place.dataset.task === undefined ? "" : one("h2", place).textContent.toLowerCase();
    return {
      table, body, lines, heads, place,
      overview: table.id === "overview",
      words: `${title} ${heads.map((head) => head.textContent).join(" ")}`.toLowerCase(),
      columns: heads.map((head) => head.textContent.toLowerCase()),
    };
  });

  // sorting: a click goes down, up, and back to the order of the page
  const key = (row, column) => {
    const cell = row.cells[column];
    if (!("sort" in cell.dataset)) return cell.textContent.trim().toLowerCase();
    return cell.dataset.sort === "" ? null : Number(cell.dataset.sort);
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  };
  for (const { body, lines, heads } of tables) {
    heads.forEach((head, column) => one("button", head)?.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
      for (const other of heads) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", next);
      const turn = next === "descending" ? -1 : 1;
      const sorted = next === "none" ? lines : [...lines].sort((a, b) => {
        const [x, y] = [key(a.row, column), key(b.row, column)];
        return x === null || y === null ? compare(x, y) : turn * compare(x, y);
      });
      body.append(...sorted.flatMap((line) => [line.row, ...line.members]));
      say(next === "none" ? "In the order of the page." : `Sorted by ${head.innerText.replace(/\s+/g, " ").trim()}, ${next}.`);
    }));
  }

  // the runs behind a mean over seeds
  const showMembers = (line) => { for (const member of line.members) member.hidden = line.row.hidden || !line.open; };
  const unfold = (line, open) => {
    line.open = open;
    one(".unfold", line.row).setAttribute("aria-expanded", String(open));
    showMembers(line);
  };
  for (const { lines } of tables) for (const line of lines) if (line.members.length) {
    unfold(line, false);
    one(".unfold", line.row).addEventListener("click", () => unfold(line, !line.open));
  }

  // beside a viewer of the same runs each number leads to the samples behind it, that of a mean over seeds to its runs
  const { viewer } = document.body.dataset;
  const link = (element, href, title) => {
    if (!element) return;
    const made = document.createElement("a");
    Object.assign(made, { className: "to", href, title });
    made.append(...element.childNodes);
    element.append(made);
  };
  const findNumber = (cell) => {  // what of a cell is its number; null for none, and for one that says why there is none
    const value = one(":scope > .value", cell) ?? cell;
    return value.matches("a") || !/\d/.test(value.textContent) ? null : value;
  };
  const samplesOf = ({ place, row }, more) => {
    const { split, pooled } = place.dataset;
    const { run, judge } = row.dataset;
    const part = pooled === undefined ? { part: split } : {};
    return `${viewer}#${new URLSearchParams({ run, with: "", ...part, ...(judge ? { judge } : {}), split, ...more })}`;
  };
  const linkNumber = (cell, at, metric, group = {}) => {  // the value leads to what hit, the interval to all that was divided
    if (at.row.dataset.run === undefined) return;
    const said = `${metric}${group.group === undefined ? "" : ` of ${group.group}`}${cell.title ? `: ${cell.title}` : ""}`;
    link(findNumber(cell), samplesOf(at, { metric, counts: "hit", ...group }), `${said}. Opens the samples that count.`);
    link(one(":scope > .interval", cell), samplesOf(at, { metric, counts: "all", ...group }), `${said}. Opens all samples that it divides by.`);
  };
  const linkMean = (cell, { members }) => link(findNumber(cell), `#${members[0].id}`, "A mean over seeds. Opens its runs.");
  const linkNumbers = () => {
    const FACTS = { Samples: "any", Coverage: "all", Blocked: "hit" };  // counts of samples, whatever the metric
    const homes = new Map(tables.map((table) => [table.place.id, table]));
    const find = (at) => {
      const [board, number] = at.split(".");
      const { place, lines, heads } = homes.get(`board-${board}`);
      return { place, line: lines[number], row: lines[number].row, main: heads.find((head) => head.dataset.metric)?.dataset.metric };
    };
    for (const { place, lines } of tables) lines.forEach(({ row, members }, number) => members.forEach((member, at) => {
      member.id = `${place.id}-runs-${number}-${at}`;
      if (row.dataset.judge) member.dataset.judge = row.dataset.judge;
    }));
    for (const { place, heads, lines, overview } of tables) for (const line of lines) {
      const { row, members } = line;
      heads.forEach(({ dataset: { metric, column } }, at) => {
        const cell = row.cells[at];
        if (overview) {
          const there = cell.dataset.at && find(cell.dataset.at);
          if (there?.line.members.length) linkMean(cell, there.line);
          else if (there) linkNumber(cell, there, there.main);
        } else if (metric !== undefined) {
          if (members.length) linkMean(cell, line);
          else linkNumber(cell, { place, row }, metric);
          for (const member of members) linkNumber(member.cells[at], { place, row: member }, metric);
        } else if (FACTS[column] && row.dataset.run !== undefined) {
          link(findNumber(cell), samplesOf({ place, row }, { counts: FACTS[column] }), `${column}. Opens the samples of this number.`);
        }
      });
    }
    for (const table of all("table[data-by]")) {
      const groups = [...table.tHead.rows[0].cells].map((head) => head.dataset.group);
      const { by, metric } = table.dataset;
      for (const row of table.tBodies[0].rows) groups.forEach((group, column) => {
        if (group === undefined) return;
        const there = find(row.dataset.at);
        if (there.line.members.length) linkMean(row.cells[column], there.line);
        else linkNumber(row.cells[column], there, metric, { by, group });
      });
    }
  };
  if (viewer !== undefined) linkNumbers();

  // filters and columns; the address keeps them, behind the anchor: #board-3?task=mis&hide=RR
  const inputs = { find: one("#find"), kind: one("#kind"), topic: one("#topic"), suite: one("#suite"), task: one("#task"), ranked: one("#ranked") };
  const boxes = all("[data-column]", one(".tools"));
  const value = (name) => (inputs[name]?.type === "checkbox" ? (inputs[name].checked ? "1" : "") : inputs[name]?.value ?? "");
  const names = Object.keys(inputs).filter((name) => inputs[name]);
  let anchor = "";
  const address = () => {
    const state = new URLSearchParams();
    for (const name of names) if (value(name)) state.set(name, value(name));
    for (const box of boxes) if (!box.checked) state.append("hide", box.dataset.column);
    return `#${anchor}${state.size ? `?${state}` : ""}`;
  };
  const remember = () => {
    if (address() !== (location.hash || "#")) history.replaceState(null, "", address());
  };
  const recall = () => {
    const [place, query] = location.hash.slice(1).split(/\?(.*)/s);
    anchor = place;
    if (query === undefined) return;
    const state = new URLSearchParams(query);
    for (const name of names) {
      if (inputs[name].type === "checkbox") inputs[name].checked = state.has(name);
      else inputs[name].value = state.get(name) ?? "";
      if (inputs[name].tagName === "SELECT" && inputs[name].selectedIndex < 0) inputs[name].value = "";
    }
    const hidden = new Set(state.getAll("hide"));
    for (const box of boxes) box.checked = !hidden.has(box.dataset.column);
  };
  const reach = () => {  // a fold that holds what the address names is opened
    const target = anchor && document.getElementById(anchor);
    if (!target) return;
    for (const { lines } of tables) for (const line of lines) if (line.members.includes(target)) unfold(line, true);
    for (let each = target.closest("details"); each; each = each.parentElement.closest("details")) each.open = true;
    target.scrollIntoView();
  };

  const hideColumn = (table, column, hidden) => {
    if (table.heads[column].hidden === hidden) return;
    table.heads[column].hidden = hidden;
    for (const { row, members } of table.lines) for (const each of [row, ...members]) each.cells[column].hidden = hidden;
  };
  // a figure of a table shows the models that its table shows, any other the models that some table shows
  const figures = all("figure").map((figure) => {
    const home = figure.closest("section");
    return {
      figure,
      table: tables.find((each) => each.place === home && !each.overview),
      series: all("svg [data-model]", figure).map((group) => [group, group.dataset.model]),
    };
  });
  const links = new Map(all("#contents a").map((link) => [link.getAttribute("href").slice(1), link.closest("li")]));
  // a table of two suites stands under the first; where a reader chooses a suite, all its tables stand under its name
  const suites = all("div.suite").map((suite) => ({
    suite,
    name: suite.dataset.suite,
    list: all("#contents ul").find((each) => each.dataset.suite === suite.dataset.suite),
    own: all("section", suite).map((section) => section.id),
    boards: suite.dataset.boards.split(" "),
  }));
  const gather = ({ suite, list }, boards) => {
    one(".tables", suite).append(...boards.map((id) => document.getElementById(id)));
    list.append(...boards.map((id) => links.get(id)));
  };
  let gathered = "";
  const gatherSuite = () => {
    if (value("suite") === gathered) return;
    gathered = value("suite");
    for (const each of suites) gather(each, each.own);
    for (const each of suites) {
      const chosen = each.name === gathered;
      if (chosen) gather(each, each.boards);
      const reference = one(".reference", each.suite);
      if (reference) reference.hidden = gathered !== "";
    }
  };
  const filter = () => {
    gatherSuite();
    const words = value("find").toLowerCase().split(/\s+/).filter(Boolean);
    const hidden = new Set(boxes.filter((box) => !box.checked).map((box) => box.dataset.column));
    const narrowed = words.length > 0 || value("kind") !== "" || value("ranked") !== "";
    const fitsModel = (row) =>
      (!value("kind") || row.dataset.kind === value("kind")) && (!value("ranked") || !row.classList.contains("unranked-row"));
    const fitsPlace = (data) =>
      (!value("task") || data.task === value("task")) && (!value("topic") || data.topic === value("topic")) &&
      (!value("suite") || (data.suites ? JSON.parse(data.suites) : [data.suite]).includes(value("suite")));
    let shown = 0;
    const left = new Set(); // models that some table still shows
    const lefts = new Map(); // the same, table by table
    for (const each of tables) {
      let here = 0;
      const mine = new Set();
      lefts.set(each, mine);
      const open = each.heads.map((head) => !each.overview || head.dataset.topic === undefined || fitsPlace(head.dataset));
      const columns = each.heads.map((_, column) => !each.overview || column === 0);
      for (const line of each.lines) {
        let fits = fitsModel(line.row);
        if (fits && each.overview) {
          const rest = words.filter((word) => !line.model.includes(word));
          const fitting = each.columns.map((text, column) => column > 0 && open[column] && rest.every((word) => text.includes(word)));
          fits = fitting.some(Boolean);
          if (fits) fitting.forEach((yes, column) => { columns[column] ||= yes; });
        } else if (fits) {
          fits = words.every((word) => line.model.includes(word) || each.words.includes(word));
        }
        line.row.hidden = !fits;
        showMembers(line);
        here += fits;
        if (fits) mine.add(line.row.dataset.model);
      }
      each.heads.forEach((head, column) => hideColumn(each, column, !columns[column] || hidden.has(head.dataset.column)));
      for (const group of all(".groups th", each.table)) {
        const { suite, topic } = group.dataset;
        const below = ({ dataset }) => dataset.suite === suite && (suite !== undefined || dataset.topic === topic);
        const count = each.heads.filter((head) => below(head) && !head.hidden).length;
        group.hidden = count === 0;
        if (count) group.colSpan = count;
      }
      if (each.overview) each.place.hidden = here === 0;
      else {
        each.place.hidden = here === 0 || !fitsPlace(each.place.dataset);
        const link = links.get(each.place.id);
        if (link) link.hidden = each.place.hidden;
        if (!each.place.hidden) {
          shown += here;
          for (const model of mine) left.add(model);
        }
      }
    }
    for (const list of all("#contents li:has(> ul)")) list.hidden = all("li", list).every((each) => each.hidden);
    for (const { suite } of suites) {
      const empty = all("section", suite).every((each) => each.hidden);
      suite.hidden = empty && (narrowed || !fitsPlace(suite.dataset));
    }
    const rest = one("#no-suite");
    if (rest) rest.hidden = all("#main > section[data-task]:not([data-suites])").every((each) => each.hidden);
    const parts = one("#parts");
    if (parts) parts.hidden = all("section", parts).every((each) => each.hidden);
    for (const { figure, table, series } of figures) {
      const models = table ? lefts.get(table) : left;
      for (const [group, model] of series) group.classList.toggle("faded", narrowed && !models.has(model));
      const empty = narrowed && series.length > 0 && !series.some(([, model]) => models.has(model));
      (figure.closest("[data-figure]") ?? figure).hidden = empty;  // nothing of it is left
      figure.classList.toggle("unfiltered", narrowed && series.length === 0);
    }
    const nothing = one("#nothing");
    const active = narrowed || value("task") || value("topic") || value("suite");
    nothing.hidden = shown > 0 || !active;
    if (!nothing.hidden) {
      const given = [value("find") && `the text “${value("find")}”`, value("kind"), value("topic"), value("suite") && `suite ${value("suite")}`, value("task"), value("ranked") && "ranked only"];
      nothing.textContent = `No number fits the filter: ${given.filter(Boolean).join(", ")}.`;
    }
    say(active ? `${shown} row${shown === 1 ? "" : "s"} shown.` : "");
    remember();
    look();
  };
  for (const name of names) inputs[name].addEventListener("input", filter);
  for (const box of boxes) box.addEventListener("change", filter);
  addEventListener("hashchange", () => {
    const fresh = location.hash.includes("?");
    recall();
    if (fresh) filter();
    else remember();
    reach();
  });

  // edges show that there is more; a table that fits is no scroll region, so that its head stays while the page scrolls
  const regions = all(".scroll, .drawing");
  const edge = (region) => {
    const frame = region.parentElement;
    frame.classList.toggle("more-left", region.scrollLeft > 1);
    frame.classList.toggle("more-right", region.scrollLeft + region.clientWidth < region.scrollWidth - 1);
  };
  const look = () => {  // all is read before anything is written: one layout
    const there = regions.filter((region) => !region.closest("details:not([open]), [hidden]"));  // the rest has no layout yet
    const seen = there.map((region) => {
      const inner = region.firstElementChild;
      const fits = region.classList.contains("scroll") && inner !== null && inner.offsetWidth <= region.clientWidth;
      const rest = region.scrollWidth - region.clientWidth - region.scrollLeft;
      return [region, fits, !fits && region.scrollLeft > 1, !fits && rest > 1];
    });
    for (const [region, fits, left, right] of seen) {
      region.classList.toggle("fits", fits);
      region.parentElement.classList.toggle("more-left", left);
      region.parentElement.classList.toggle("more-right", right);
    }
  };
  for (const region of regions) region.addEventListener("scroll", () => edge(region), { passive: true });
  addEventListener("resize", look);
  document.addEventListener("toggle", look, true);

  // definitions: at the pointer and at the keyboard's focus; Escape hides them
  const tip = one("#tip");
  let owner = null;
  const hide = () => { tip.hidden = true; owner = null; };
  const place = () => {
    const [at, size] = [owner.getBoundingClientRect(), tip.getBoundingClientRect()];
    if (at.bottom < 0 || at.top > innerHeight) return hide();
    tip.style.left = `${Math.max(8, Math.min(at.left, document.documentElement.clientWidth - size.width - 8))}px`;
    tip.style.top = `${at.bottom + size.height + 4 < innerHeight ? at.bottom + 2 : Math.max(4, at.top - size.height - 2)}px`;
  };
  const show = (element) => {
    const meaning = document.getElementById(element.getAttribute("aria-describedby"))?.textContent ?? "";
    const told = element.dataset.told;
    tip.textContent = told ? `${told[0].toUpperCase()}${told.slice(1)}. ${meaning}` : meaning;
    owner = element;
    tip.hidden = false;
    tip.style.left = tip.style.top = "0";
    place();
  };
  const explained = (target) => target.closest?.("a[aria-describedby], button[aria-describedby]");
  document.addEventListener("pointerover", ({ target }) => {
    const found = explained(target);
    if (found) show(found);
    else if (owner && !tip.contains(target) && document.activeElement !== owner) hide();
  });
  document.addEventListener("focusin", ({ target }) => { explained(target) && target.matches(":focus-visible") ? show(explained(target)) : hide(); });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    hide();
    for (const menu of all(".menu[open]")) { menu.open = false; one("summary", menu).focus(); }
  });
  document.addEventListener("scroll", () => { if (owner) place(); }, { passive: true, capture: true });
  document.addEventListener("click", ({ target }) => {
    for (const menu of all(".menu[open]")) if (!menu.contains(target)) menu.open = false;
  });

  // downloads
  const data = () => {
    const { names, rows } = JSON.parse(one("#data").textContent);
    return rows.map((row) => Object.fromEntries(row.map((value, place) => [names[place], value])));
  };
  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const quoted = (value) => {
    let text = value === null ? "" : String(value);
    if (typeof value === "string" && /^\s*[=+\-@]/.test(text)) text = `'${text}`;
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  one("#csv").addEventListener("click", () => {
    const rows = data();
    const names = Object.keys(rows[0] ?? {});
    const lines = [names, ...rows.map((row) => names.map((name) => row[name]))];
    save("leaderboard.csv", "text/csv", lines.map((line) => line.map(quoted).join(",")).join("\n") + "\n");
  });
  one("#json").addEventListener("click", () => save("leaderboard.json", "application/json", JSON.stringify(data(), null, 1)));

  // light and dark
  const theme = one("#theme");
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const paint = () => {
    theme.textContent = dark() ? "Light" : "Dark";
    theme.setAttribute("aria-pressed", String(dark()));
  };
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    paint();
  });
  paint();

  // what is folded is printed too
  addEventListener("beforeprint", () => {
    for (const each of all("details:not([open]):not(.menu)")) each.open = true;
    for (const { lines } of tables) for (const line of lines) if (line.members.length) unfold(line, true);
  });

  recall();
  filter();
  reach();
})();
