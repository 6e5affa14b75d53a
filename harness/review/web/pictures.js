"use strict";
// Images in order, blurred until they are asked for; those that come next are loaded and decoded ahead.

{
  const { make, theirs } = HV;

  class Pictures {
    constructor(box) {
      this.box = box;
      this.loaded = new Map(); // hash -> element
    }

    // Show images: { sha256, why, name }; a name stands below its image.
    show(images) {
      this.box.replaceChildren(...images.map((image, at) => this.figure(image, at + 1, images.length)));
      this.blur(true);
    }

    // Load what is shown next; what is neither shown now nor next is let go.
    ahead(images) {
      const wanted = new Set(images.map((image) => image.sha256));
      for (const [hash, picture] of this.loaded) if (!picture.isConnected && !wanted.has(hash)) this.loaded.delete(hash);
      for (const image of images) if (!image.why) this.load(image.sha256).decode().catch(() => {});
    }

    load(hash) {
      let picture = this.loaded.get(hash);
      if (!picture) {
        picture = make("img");
        picture.decoding = "async";
        picture.src = `/image/${hash}`;
        this.loaded.set(hash, picture);
      }
      return picture;
    }

    figure(image, place, count) {
      const caption = make("figcaption", "", `Image ${place} of ${count}`, ...(image.name ? [": ", theirs(image.name)] : []));
      const frame = make("div", "frame");
      if (image.why) {
        frame.append(make("span", "warn", `It cannot be seen: ${image.why}.`));
      } else {
        let picture = this.load(image.sha256);
        if (picture.parentNode) picture = picture.cloneNode();
        const gone = () => {
          this.loaded.delete(image.sha256);
          frame.replaceChildren(make("span", "warn", "It cannot be seen any more."));
        };
        if (picture.complete && !picture.naturalWidth) gone();
        else {
          picture.addEventListener("error", gone);
          frame.append(picture);
        }
      }
      return make("figure", "", frame, caption);
    }

    blur(blurred) {
      const every = [...this.box.children];
      every.forEach((each, at) => {
        each.classList.toggle("blurred", blurred);
        const picture = each.querySelector("img");
        if (picture) picture.alt = `Image ${at + 1} of ${every.length}, ${blurred ? "blurred" : "revealed"}`;
      });
    }
  }

  HV.Pictures = Pictures;
}
