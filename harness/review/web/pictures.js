"use strict";
// Images in order, blurred until they are asked for. Those that come next are loaded, decoded and scaled down ahead, so
// that the next item stands there at once also with images of many megabytes. They wait in memory only.

{
  const { make, theirs } = HV;
  const MOST = 1600; // pixels of a side; a page shows no image larger

  class Pictures {
    constructor(box) {
      this.box = box;
      this.shown = new Set(); // hashes
      this.waiting = new Map(); // hash -> promise of a canvas, or of nothing
      this.ready = new Map(); // hash -> canvas
    }

    // Show images: { sha256, why, name }; a name stands below its image.
    show(images) {
      this.shown = new Set(images.map((image) => image.sha256));
      this.used = new Set(); // an image may be there twice, and a canvas cannot
      this.box.replaceChildren(...images.map((image, at) => this.figure(image, at + 1, images.length)));
      this.blur(true);
    }

    // Prepare what is shown next; what is neither shown now nor next is let go. Returns when all of it is ready.
    async ahead(images) {
      const wanted = new Set(images.filter((image) => !image.why).map((image) => image.sha256));
      for (const hash of this.waiting.keys()) {
        if (wanted.has(hash) || this.shown.has(hash)) continue;
        this.waiting.delete(hash);
        this.ready.delete(hash);
      }
      await Promise.all([...this.shown].map((hash) => this.waiting.get(hash))); // what is looked at comes first
      for (const hash of wanted) {
        if (!this.waiting.has(hash)) this.waiting.set(hash, prepare(hash).then((canvas) => this.keep(hash, canvas), () => null));
      }
      await Promise.all([...wanted].map((hash) => this.waiting.get(hash)));
    }

    keep(hash, canvas) {
      if (canvas && this.waiting.has(hash)) this.ready.set(hash, canvas);
    }

    figure(image, place, count) {
      const caption = make("figcaption", "", `Image ${place} of ${count}`, ...(image.name ? [": ", theirs(image.name)] : []));
      const frame = make("div", "frame");
      const put = () => frame.append(this.take(image.sha256, frame));
      if (image.why) frame.append(make("span", "warn", `It cannot be seen: ${image.why}.`));
      else if (this.waiting.has(image.sha256) && !this.ready.has(image.sha256)) {
        this.waiting.get(image.sha256).then(() => { if (frame.isConnected) { put(); this.blur(this.blurred); } });
      } else put();
      return make("figure", "", frame, caption);
    }

    // The canvas that was prepared; else the image itself.
    take(hash, frame) {
      const canvas = this.ready.get(hash);
      if (canvas && !this.used.has(hash)) {
        this.used.add(hash);
        return canvas;
      }
      const picture = make("img");
      picture.addEventListener("error", () => frame.replaceChildren(make("span", "warn", "It cannot be seen any more.")));
      picture.decoding = "async";
      picture.src = address(hash);
      return picture;
    }

    blur(blurred) {
      this.blurred = blurred;
      const every = [...this.box.children];
      every.forEach((each, at) => {
        each.classList.toggle("blurred", blurred);
        const picture = each.querySelector("img, canvas");
        const words = `Image ${at + 1} of ${every.length}, ${blurred ? "blurred" : "revealed"}`;
        if (picture instanceof HTMLImageElement) picture.alt = words;
        else picture?.setAttribute("aria-label", words);
      });
    }
  }

  const address = (hash) => `/image/${hash}`;

  // A canvas with the image; nothing for one that may move, or that cannot be had.
  async function prepare(hash) {
    const reply = await fetch(address(hash));
    const data = await reply.blob();
    if (!reply.ok || data.type === "image/gif") return null;
    const { width, height } = await measure(data);
    const scale = Math.min(1, MOST / Math.max(width, height));
    const size = { resizeWidth: Math.max(1, Math.round(width * scale)), resizeHeight: Math.max(1, Math.round(height * scale)) };
    const pixels = await createImageBitmap(data, { ...size, resizeQuality: "medium" });
    const canvas = make("canvas");
    Object.assign(canvas, { width: pixels.width, height: pixels.height });
    canvas.setAttribute("role", "img");
    canvas.getContext("bitmaprenderer").transferFromImageBitmap(pixels);
    return canvas;
  }

  // Width and height, turned as the image's own mark says.
  async function measure(data) {
    const url = URL.createObjectURL(data);
    try {
      const picture = make("img");
      await new Promise((resolve, reject) => {
        picture.addEventListener("load", resolve);
        picture.addEventListener("error", reject);
        picture.src = url;
      });
      return { width: picture.naturalWidth, height: picture.naturalHeight };
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  HV.Pictures = Pictures;
}
