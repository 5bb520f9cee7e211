// The list: any number of photos, of which only the rows in view are elements.

const ROW_PX = 68;
const SPARE_ROWS = 6;

class PhotoList {
  constructor({ choose, enter }) {
    this.box = byId("list");
    this.rows = byId("rows");
    this.numbers = [];
    this.places = new Map();
    this.active = null;
    this.choose = choose;
    this.enter = enter;
    this.elements = new Map();
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.box.addEventListener("keydown", (event) => this._key(event));
    this.box.addEventListener("click", (event) => {
      const row = event.target.closest("[data-number]");
      if (row) this.choose(Number(row.dataset.number));
    });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  show(numbers) {
    this.numbers = numbers;
    this.places = new Map(numbers.map((number, place) => [number, place]));
    this.rows.style.height = `${numbers.length * ROW_PX}px`;
    this.redraw();
  }

  redraw() {
    this.rows.replaceChildren();
    this.elements.clear();
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_PX) - SPARE_ROWS);
    const last = Math.min(
      this.numbers.length,
      Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW_PX) + SPARE_ROWS,
    );
    for (const [number, row] of this.elements) {
      const place = this.places.get(number);
      if (place >= first && place < last) continue;
      row.remove();
      this.elements.delete(number);
    }
    for (let place = first; place < last; place += 1) {
      const number = this.numbers[place];
      if (this.elements.has(number)) continue;
      const row = this._row(photos[number], place);
      this.elements.set(number, row);
      this.rows.append(row);
    }
    const there = this.active !== null && this.elements.has(this.active);
    if (there) this.box.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  // Makes a photo the chosen one and scrolls to it; null for none.
  activate(number) {
    this.elements.get(this.active)?.setAttribute("aria-selected", "false");
    this.active = number;
    const place = this.places.get(number);
    if (place !== undefined) {
      const top = place * ROW_PX,
        { scrollTop, clientHeight } = this.box;
      if (top < scrollTop) this.box.scrollTop = top;
      else if (top + ROW_PX > scrollTop + clientHeight) this.box.scrollTop = top + ROW_PX - clientHeight;
    }
    this.draw();
    this.elements.get(number)?.setAttribute("aria-selected", "true");
  }

  _key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW_PX) - 1);
    const steps = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key === "Enter" && this.active !== null) {
      event.preventDefault();
      this.enter(this.active);
    } else if (event.key in steps && this.numbers.length) {
      event.preventDefault();
      const now = this.places.get(this.active) ?? (steps[event.key] > 0 ? -1 : this.numbers.length);
      const next = Math.max(0, Math.min(this.numbers.length - 1, now + steps[event.key]));
      this.choose(this.numbers[next]);
    }
  }

  _row(photo, place) {
    const row = element("div", {
      class: "row",
      role: "option",
      id: `row-${photo.number}`,
      "data-number": photo.number,
      "aria-posinset": place + 1,
      "aria-setsize": this.numbers.length,
      "aria-selected": photo.number === this.active,
      title: photo.photo,
    });
    row.style.top = `${place * ROW_PX}px`;
    const picture = thumbnail(photo) || element("span", { class: "thumbnail none", "aria-hidden": "true" });
    row.append(picture, element("span", { class: "words" }, ...rowWords(photo)));
    return row;
  }
}

function rowWords(photo) {
  const name = element("span", { class: "name" }, element("b", { text: photo.name }));
  if (photo.folder) name.append(element("span", { class: "folder", text: photo.folder }));
  if (photo.error !== undefined) {
    return [name, element("span", { class: "failure", text: photo.error })];
  }
  if (photo.first === null) {
    return [name, element("span", { class: "failure", text: photo.notes || "no place" })];
  }
  const figures = element(
    "span",
    { class: "figures" },
    element("span", { class: `key sure-${sureness(photo)}`, "aria-hidden": "true" }),
    element("span", { text: percent(photo.probability) }),
  );
  if (photo.radius >= 0) figures.append(element("span", { text: `± ${kilometres(photo.radius)}` }));
  if (photo.off >= 0) figures.append(element("span", { class: "off", text: `${kilometres(photo.off)} off` }));
  return [name, element("span", { class: "place", text: shortPlace(photo.first) }), figures];
}
