"use strict";
// Dark or light as the system says, until the reader says otherwise; what was said is kept.

{
  const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  function theme(name) {
    document.documentElement.dataset.theme = name;
    try { localStorage.setItem("harness-theme", name); } catch { /* a page from disk may keep nothing */ }
  }

  try {
    const kept = localStorage.getItem("harness-theme");
    if (kept === "dark" || kept === "light") theme(kept);
  } catch { /* likewise */ }

  document.getElementById("theme").addEventListener("click", () => theme(dark() ? "light" : "dark"));
}
