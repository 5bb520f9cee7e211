// The form above the list: what it asks for, and how it is told what there is.

class Filters {
  constructor({ change, leave }) {
    this.spot = null;
    this.change = change;
    this.fields = Object.fromEntries(
      ["text", "country", "radius", "radius-km", "error", "error-km", "sort"].map((id) => [id, byId(id)]),
    );
    const form = byId("filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    // A field that loses the focus to a row must not redraw the row below the finger.
    for (const [event, isList] of [
      ["input", false],
      ["change", true],
    ]) {
      form.addEventListener(event, ({ target }) => {
        if ((target.tagName === "SELECT") === isList) this._changed();
      });
    }
    byId("reset").addEventListener("click", () => this.reset());
    this.fields.text.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowDown" && event.key !== "Enter") return;
      event.preventDefault();
      leave();
    });
    this._countries();
    if (photos.every((photo) => photo.exif_latitude === undefined))
      this._only("error", ["within", "over", "known"]);
    byId("more").open = matchMedia("(min-width: 761px)").matches;
  }

  wish() {
    const value = (id) => this.fields[id].value;
    return {
      text: value("text"),
      country: value("country"),
      radius: value("radius"),
      radiusKm: this.fields["radius-km"].valueAsNumber,
      error: value("error"),
      errorKm: this.fields["error-km"].valueAsNumber,
      sort: value("sort"),
      spot: this.spot,
    };
  }

  // Lists these photos alone, and says so.
  gather(numbers) {
    this.spot = new Set(numbers);
    this._changed();
  }

  reset() {
    this.spot = null;
    for (const id of ["text", "country", "radius", "error"]) this.fields[id].value = BLANK;
    this._changed();
  }

  tell(count) {
    const all = count === photos.length;
    const where = this.spot ? " at one point" : BLANK;
    byId("count").textContent = all
      ? plural(count, about.what)
      : `${whole(count)} of ${plural(photos.length, about.what)}${where}`;
    byId("reset").hidden = all;
  }

  _changed() {
    for (const id of ["radius", "error"]) {
      this.fields[`${id}-km`].disabled = !["within", "over"].includes(this.fields[id].value);
    }
    this.change();
  }

  _countries() {
    const counts = new Map();
    for (const { country } of photos) if (country) counts.set(country, (counts.get(country) || 0) + 1);
    const sorted = [...counts].sort(([a], [b]) => names.compare(a, b));
    for (const [country, count] of sorted) {
      this.fields.country.append(
        element("option", { value: country, text: `${country} (${whole(count)})` }),
      );
    }
  }

  _only(id, without) {
    for (const option of [...this.fields[id].options]) option.disabled = without.includes(option.value);
  }
}
