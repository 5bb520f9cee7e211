// The photos of the page, which of them are shown, and in which order.

// x and y in the Mercator square, 0 to 1, south and east growing.
function mercator(latitude, longitude) {
  const bounded = (Math.max(-85.05, Math.min(85.05, latitude)) * Math.PI) / 180;
  return {
    x: (longitude + 180) / 360,
    y: (1 - Math.log(Math.tan(bounded) + 1 / Math.cos(bounded)) / Math.PI) / 2,
  };
}

function prepared(photo, number) {
  const first = photo.candidates[0] || null;
  const cut = photo.photo.lastIndexOf("/") + 1;
  const words = [photo.photo, photo.notes, photo.error];
  for (const { place, region, country } of photo.candidates.slice(0, 1)) words.push(place, region, country);
  for (const [concept] of photo.concepts) words.push(concept);
  return {
    ...photo,
    number,
    name: photo.photo.slice(cut) || photo.photo,
    folder: photo.photo.slice(0, cut),
    first,
    // What is not known is NaN: no comparison holds for it.
    radius: first?.radius_km ?? NaN,
    off: first?.error_km ?? NaN,
    probability: first?.probability ?? NaN,
    country: first?.country || BLANK,
    words: words.filter(Boolean).join("\n").toLowerCase(),
    ...(first ? mercator(first.latitude, first.longitude) : {}),
  };
}

const photos = JSON.parse(byId("photos").textContent).map(prepared);
const about = JSON.parse(byId("about").textContent);

// By one number, missing ones last whatever the direction; equal ones in the order of the run.
function byNumber(key, sign) {
  return (a, b) => {
    const one = photos[a][key],
      other = photos[b][key];
    if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(one) - Number.isNaN(other) || a - b;
    return sign * (one - other) || a - b;
  };
}

const names = new Intl.Collator("en", { numeric: true });
const ORDERS = {
  run: (a, b) => a - b,
  name: (a, b) => names.compare(photos[a].photo, photos[b].photo) || a - b,
  radius: byNumber("radius", 1),
  "radius-down": byNumber("radius", -1),
  error: byNumber("off", 1),
  "error-down": byNumber("off", -1),
  probability: byNumber("probability", 1),
  "probability-down": byNumber("probability", -1),
};

const KINDS = {
  known: (photo) => photo.exif_latitude !== undefined,
  unknown: (photo) => photo.exif_latitude === undefined && photo.error === undefined,
  failed: (photo) => photo.error !== undefined,
};

// A field without a number asks for nothing.
function holds(kind, value, km) {
  if (Number.isNaN(km)) return true;
  if (kind === "within") return value <= km;
  if (kind === "over") return value > km;
  return true;
}

// The numbers of the photos that a wish leaves, in its order; `spot` is a set of numbers or null.
function chosen(wish) {
  const words = wish.text.toLowerCase().split(/\s+/).filter(Boolean);
  const kind = KINDS[wish.error] || (() => true);
  const left = [];
  for (const photo of photos) {
    if (wish.spot && !wish.spot.has(photo.number)) continue;
    if (wish.country && photo.country !== wish.country) continue;
    if (!kind(photo)) continue;
    if (!holds(wish.radius, photo.radius, wish.radiusKm)) continue;
    if (!holds(wish.error, photo.off, wish.errorKm)) continue;
    if (!words.every((word) => photo.words.includes(word))) continue;
    left.push(photo.number);
  }
  return wish.sort === "run" ? left : left.sort(ORDERS[wish.sort]);
}
