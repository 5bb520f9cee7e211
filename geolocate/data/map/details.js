// What is known of the chosen photo: its picture, candidates, concepts, and the truth where EXIF has it.

function bar(share, kind) {
  const filled = element("span", { class: "filled" });
  filled.style.width = `${Math.max(0, Math.min(1, share || 0)) * 100}%`;
  return element("span", { class: `bar ${kind}`, "aria-hidden": "true" }, filled);
}

class Details {
  constructor({ close, goTo, mark }) {
    this.box = byId("details");
    this.close = close;
    this.goTo = goTo;
    this.mark = mark;
  }

  show(photo) {
    this.box.hidden = photo === null;
    this.box.replaceChildren(...(photo === null ? [] : this._parts(photo)));
    this.box.scrollTop = 0;
  }

  focus() {
    (this.box.querySelector(".candidate") || this.box.querySelector(".close")).focus();
  }

  _parts(photo) {
    const head = element(
      "div",
      { class: "head" },
      element(
        "h2",
        { title: photo.photo },
        element("span", { class: "folder", text: photo.folder }),
        photo.name,
      ),
      element("button", {
        type: "button",
        class: "close",
        "aria-label": "Close",
        text: "×",
        click: this.close,
      }),
    );
    const parts = [head, element("div", { class: "answer" }, thumbnail(photo), this._answer(photo))];
    if (photo.exif_latitude !== undefined) parts.push(this._truth(photo));
    if (photo.candidates.length) parts.push(...this._candidates(photo));
    if (photo.concepts.length) parts.push(...this._concepts(photo));
    if (photo.notes) {
      const notes = photo.notes.split(";").map((note) => element("li", { text: note }));
      parts.push(element("h3", { text: "Notes" }), element("ul", { class: "notes" }, ...notes));
    }
    return parts;
  }

  _answer(photo) {
    if (photo.error !== undefined) return element("p", { class: "failure", text: `Failed: ${photo.error}` });
    if (photo.first === null) return element("p", { class: "failure", text: "No place was given." });
    const { first } = photo;
    const place = element("p", { class: "where" }, element("b", { text: placeName(first) }));
    const sure = element("p", { class: "sure" }, element("b", { text: percent(first.probability) }));
    if (photo.radius >= 0) {
      sure.append(" · radius ", element("b", { text: kilometres(photo.radius) }));
      sure.append(element("span", { class: "meaning", text: "the circle holds half of the probability" }));
    }
    const { latitude, longitude } = first;
    const pin = `?mlat=${latitude}&mlon=${longitude}#map=9/${latitude}/${longitude}`;
    const link = element("a", {
      href: `https://www.openstreetmap.org/${pin}`,
      target: "_blank",
      rel: "noopener noreferrer",
      text: degrees(latitude, longitude),
      title: "Opens openstreetmap.org, which learns this position",
    });
    return element("div", {}, place, sure, element("p", { class: "position" }, link));
  }

  _truth(photo) {
    const text = degrees(photo.exif_latitude, photo.exif_longitude);
    const truth = element(
      "p",
      { class: "truth-line" },
      element("span", { class: "truth-key", "aria-hidden": "true" }),
    );
    if (photo.off >= 0) {
      truth.append(element("b", { text: `${kilometres(photo.off)} off` }), ` the position by EXIF, ${text}`);
    } else {
      truth.append(`By EXIF it was at ${text}`);
    }
    return truth;
  }

  _candidates(photo) {
    const items = photo.candidates.map((candidate, i) => {
      const rank = i + 1;
      const small = [degrees(candidate.latitude, candidate.longitude)];
      if (candidate.error_km !== undefined) small.push(`${kilometres(candidate.error_km)} off`);
      const button = element(
        "button",
        { type: "button", class: "candidate", click: () => this.goTo(rank) },
        element("span", { class: rank === 1 ? "rank best" : "rank", text: rank }),
        element("span", { class: "of", text: placeName(candidate) }),
        element("span", { class: "share", text: percent(candidate.probability) }),
        bar(candidate.probability / photo.first.probability, "probability"),
        element("span", { class: "small", text: small.join(" · ") }),
      );
      for (const [event, on] of [
        ["pointerenter", true],
        ["pointerleave", false],
        ["focus", true],
        ["blur", false],
      ]) {
        button.addEventListener(event, () => this.mark(rank, on));
      }
      return element("li", {}, button);
    });
    const title = items.length === 1 ? "Candidate" : "Candidates";
    const parts = [element("h3", { text: title }), element("ol", { class: "candidates" }, ...items)];
    if (photo.left_out)
      parts.push(element("p", { class: "left-out", text: `and ${whole(photo.left_out)} more, not shown` }));
    return parts;
  }

  _concepts(photo) {
    const strongest = Math.max(...photo.concepts.map(([, score]) => score), 1e-9);
    const items = photo.concepts.map(([concept, score]) =>
      element(
        "li",
        {},
        element("span", { class: "of", text: concept }),
        element("span", { class: "share", text: score.toFixed(3) }),
        bar(score / strongest, "concept"),
      ),
    );
    return [element("h3", { text: "The photo shows" }), element("ul", { class: "concepts" }, ...items)];
  }
}
