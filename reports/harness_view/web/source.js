"use strict";
// Where the data comes from: the server of `harness view`, or the scripts of an export beside the page.

const HV = {};

{
  class Server {
    live = true;

    async json(path, query = {}, signal = undefined) {
      const reply = await fetch(`${path}?${new URLSearchParams(query)}`, { signal });
      if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
      return reply.json();
    }

    runs() { return this.json("/api/runs"); }

    rows(run, { generation, position, texts }) { return this.json("/api/rows", { run, generation, position, texts }); }

    item(run, _number, name) { return this.json("/api/item", { run, item: name }); }

    overview(run) { return this.json("/api/overview", { run }); }

    prompt(run, item, judge) { return this.json("/api/prompt", { run, item, judge }); }

    agreement(run) { return this.json("/api/agreement", { run }); }

    counted(run, split) { return this.json("/api/counted", { run, split }); }

    search(run, q, signal) { return this.json("/api/search", { run, q }, signal); }

    async image(run, task, sha256) {
      const reply = await fetch(`/image/${run}/${encodeURIComponent(task)}/${sha256}`);
      if (!reply.ok) return { gone: "it is not to be had" };
      return { url: URL.createObjectURL(await reply.blob()), gone: reply.headers.get("x-gone") || "" };
    }
  }

  const arrived = new Map();
  const awaited = new Map();

  window.harnessExport = (name, value) => {
    arrived.set(name, value);
    awaited.get(name)?.(value);
  };

  function load(name) {
    if (arrived.has(name)) return Promise.resolve(arrived.get(name));
    return new Promise((resolve, reject) => {
      awaited.set(name, resolve);
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.addEventListener("error", () => reject(new Error(`${name} is missing`)));
      document.head.append(script);
    });
  }

  class Exported {
    live = false;

    constructor() {
      this.said = arrived.get("runs");
      this.next = this.said.runs.map(() => 0);
      this.hay = new Map();
    }

    async runs() { return this.said.runs; }

    async rows(run) {
      const k = this.next[run]++;
      return load(`rows-${run}-${k}`);
    }

    async item(run, number) {
      if (number === undefined) return null;
      const size = this.said.runs[run].items;
      return (await load(`items-${run}-${Math.floor(number / size)}`))[number % size];
    }

    async overview(run) { return this.said.runs[run].overview; }

    async prompt(_run, _item, _judge, said) { return said.prompt ?? { why: "it is not in this export", prompts: [] }; }

    agreement(run) { return load(`agreement-${run}`); }

    async counted(run, split) { return (await load(`counted-${run}`))[split] ?? null; }

    async search(run, q) {
      const words = q.toLowerCase().split(/\s+/).filter(Boolean);
      const hay = await this.texts(run);
      return [...hay.keys()].filter((n) => words.every((word) => hay[n].includes(word)));
    }

    async texts(run) {
      if (!this.hay.has(run)) {
        const about = this.said.runs[run];
        const files = Array.from({ length: Math.ceil(about.count / about.items) }, (_, k) => load(`items-${run}-${k}`));
        this.hay.set(run, (await Promise.all(files)).flat().map(searched));
      }
      return this.hay.get(run);
    }

    async image(_run, _task, sha256) {
      const found = this.said.images[sha256] || "it is not in this export";
      return found.startsWith("images/") ? { url: found, gone: "" } : { gone: found };
    }
  }

  function searched(item) {
    const names = [item.item, item.category, item.outcome, item.label];
    const prompt = (item.prompt || []).map((part) => part.text ?? part.image ?? "");
    const said = item.judges.flatMap((judge) => [judge.reason || "", ...(judge.raw || [])]);
    return [...names, ...prompt, item.answer || "", item.reasoning || "", item.message || "", ...said].join("\n").toLowerCase();
  }

  HV.source = () => (arrived.has("runs") ? new Exported() : new Server());
}
