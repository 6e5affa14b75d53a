"use strict";
// What the page asks of the server that sent it.

const HV = {};

{
  async function reply(asked) {
    let sent;
    try {
      sent = await asked;
    } catch {
      throw new Error("The server is gone: start it again. What you have answered is kept.");
    }
    const said = await sent.json().catch(() => ({}));
    if (sent.ok) return said;
    const error = new Error(said.error || `The server answers ${sent.status}.`);
    error.refused = true; // the server is there, and says no
    error.overtaken = sent.status === 409;
    error.field = said.field;
    throw error;
  }

  HV.view = (what, reviewer) => reply(fetch(`/api/${what}?${new URLSearchParams({ reviewer })}`));

  HV.desk = (reviewer) => HV.view("desk", reviewer);

  HV.change = (what, fields) => reply(fetch(`/api/${what}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fields),
  }));
}
