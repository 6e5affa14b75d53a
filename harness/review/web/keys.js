"use strict";
// Keys of a page: acts[key] is called outside of fields and dialogs, where allowed(key) says so; field(event) gets those
// that are pressed in a field.

HV.keys = (acts, allowed, field) => {
  addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (document.querySelector("dialog[open]")) return;
    if (target.closest("input[type=text], textarea, select")) return field(event);
    if (key === "Enter" && target.closest("button, a, summary")) return; // it presses what it is on
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (!Object.hasOwn(acts, key) || !allowed(key)) return;
    event.preventDefault();
    acts[key]();
  });
};
