"use strict";
(() => {
  const one = (query, within = document) => within.querySelector(query);
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  for (const each of all("[data-needs-script]")) each.hidden = false;

  // sorting: a click goes down, up, and back to the order of the page
  const key = (row, column) => {
    const cell = row.children[column];
    if (!("sort" in cell.dataset)) return cell.textContent.trim().toLowerCase();
    return cell.dataset.sort === "" ? null : Number(cell.dataset.sort);
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  };
  for (const table of all("table.sortable")) {
    const body = one("tbody", table);
    const original = [...body.rows];
    const heads = all("thead th", table);
    heads.forEach((head, column) => one("button", head)?.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
      for (const other of heads) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", next);
      const turn = next === "descending" ? -1 : 1;
      const rows = next === "none" ? original : [...original].sort((a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        return x === null || y === null ? compare(x, y) : turn * compare(x, y);
      });
      body.append(...rows);
      say(next === "none" ? "In the order of the page." : `Sorted by ${head.innerText.replace(/\s+/g, " ").trim()}, ${next}.`);
    }));
  }

  // filters
  const said = one("#said");
  const say = (text) => { said.textContent = text; };
  const inputs = { find: one("#find"), kind: one("#kind"), task: one("#task"), ranked: one("#ranked") };
  const filter = () => {
    const words = inputs.find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const table of all("table.sortable")) {
      const place = table.closest("section");
      const title = (place?.innerText === undefined ? "" : one("h2", place)?.textContent ?? "").toLowerCase();
      const heads = one("thead", table).textContent.toLowerCase();
      let here = 0;
      for (const row of one("tbody", table).rows) {
        const text = row.firstElementChild.textContent.toLowerCase();
        const found = words.every((word) => text.includes(word) || title.includes(word) || heads.includes(word));
        const kind = !inputs.kind.value || row.dataset.kind === inputs.kind.value;
        const ranked = !inputs.ranked.checked || !row.classList.contains("unranked-row");
        row.hidden = !(found && kind && ranked);
        here += !row.hidden;
      }
      shown += here;
      if (place?.dataset.task !== undefined) {
        place.hidden = here === 0 || Boolean(inputs.task.value && place.dataset.task !== inputs.task.value);
      }
    }
    say(`${shown} row${shown === 1 ? "" : "s"} shown.`);
  };
  for (const input of Object.values(inputs)) input.addEventListener("input", filter);

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
  const show = () => {
    theme.textContent = dark() ? "Light" : "Dark";
    theme.setAttribute("aria-pressed", String(dark()));
  };
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    show();
  });
  show();

  // what is folded is printed too
  addEventListener("beforeprint", () => { for (const each of all("details:not([open])")) each.open = true; });
})();
