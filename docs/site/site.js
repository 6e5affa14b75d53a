// Names and roles that assistive programs need and the theme's pages lack.
document$.subscribe(() => {
  document.querySelector(".md-search[role=dialog]")?.setAttribute("aria-label", "Search");
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((part) => { part.tabIndex = 0; });
  document.querySelectorAll("nav.md-code__nav").forEach((part) => part.setAttribute("role", "presentation"));
  document.querySelectorAll("nav.md-nav[aria-labelledby^=__nav]").forEach((part) => {
    const name = part.closest("li")?.querySelector("a, label")?.textContent.trim();
    part.removeAttribute("aria-labelledby");
    part.setAttribute("aria-label", `Pages: ${name}`);
  });
  document.querySelectorAll(".md-typeset th").forEach((head) => {
    if (!head.textContent.trim()) head.replaceWith(document.createElement("td"));
  });
});
