// Starts the page and lets its parts speak to each other.

const FIRST_MAX_ZOOM = 6;

function openMap() {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const map = L.map("map", {
    zoomControl: false,
    attributionControl: false,
    zoomSnap: 0.5,
    zoomDelta: 1,
    maxZoom: OFFLINE_MAX_ZOOM,
    maxBounds: [
      [-86, -Infinity],
      [86, Infinity],
    ],
    maxBoundsViscosity: 1,
    fadeAnimation: false,
    zoomAnimation: !still,
    inertia: !still,
  });
  L.control.zoom({ position: "topleft" }).addTo(map);
  L.control.attribution({ position: "bottomleft", prefix: "Leaflet" }).addTo(map);
  L.control.scale({ position: "bottomleft", imperial: false }).addTo(map);
  const limit = () =>
    map.setMinZoom(Math.floor(2 * Math.log2(Math.max(1, map.getSize().x / BASE_TILE_PX))) / 2);
  // Whole pixels are too coarse for the corners of a small circle.
  map.latLngToLayerPoint = (place) => map.project(place).subtract(map.getPixelOrigin());
  if (still) {
    const glide = map.panBy;
    map.panBy = (offset, options) => glide.call(map, offset, { ...options, ...AT_ONCE });
  }
  limit();
  map.setView([20, 0], map.getMinZoom());
  map.on("resize", limit);
  return map;
}

// The smallest stretch of longitudes that holds all of them: the rest of the globe is their widest gap.
function span(longitudes) {
  const sorted = longitudes.sort((a, b) => a - b);
  let best = [sorted[0], sorted[sorted.length - 1]];
  for (let i = 1; i < sorted.length; i += 1) {
    const stretch = [sorted[i], sorted[i - 1] + 360];
    if (stretch[1] - stretch[0] < best[1] - best[0]) best = stretch;
  }
  return best;
}

function showEverything(map, numbers) {
  const places = numbers.map((number) => photos[number].first).filter(Boolean);
  if (!places.length) return map.setView([20, 0], map.getMinZoom(), AT_ONCE);
  const latitudes = places.map((place) => place.latitude).sort((a, b) => a - b);
  const [west, east] = span(places.map((place) => place.longitude));
  const bounds = [
    [latitudes[0], west],
    [latitudes[latitudes.length - 1], east],
  ];
  return map.fitBounds(bounds, { padding: [50, 50], maxZoom: FIRST_MAX_ZOOM, ...AT_ONCE });
}

function summaryText() {
  const failed = photos.filter((photo) => photo.error !== undefined).length;
  const errors = photos.map((photo) => photo.off).filter((km) => km >= 0);
  const parts = [plural(photos.length, about.what)];
  if (failed) parts.push(`${whole(failed)} failed`);
  if (errors.length)
    parts.push(`${whole(errors.length)} with a known position: median error ${kilometres(median(errors))}`);
  return parts.join(" · ");
}

function start() {
  const map = openMap();
  new Appearance(map);
  const overlay = new Overlay(map);
  let selected = null;

  const choose = (number) => {
    selected = number;
    const photo = number === null ? null : photos[number];
    details.show(photo);
    overlay.show(photo);
    list.activate(number);
    const wide = matchMedia("(min-width: 761px)").matches;
    if (photo) bringIntoView(map, photo, wide ? details.box.offsetWidth : 0);
    overlay.show(photo); // where the map turned on, beside it
  };
  const details = new Details({
    close: () => {
      choose(null);
      list.box.focus();
    },
    goTo: (rank) => overlay.goTo(rank),
    mark: (rank, on) => overlay.mark(rank, on),
  });
  const list = new PhotoList({
    choose,
    enter: (number) => {
      choose(number);
      details.focus();
    },
  });
  const markers = new Markers(map, {
    choose,
    gather: (numbers) => {
      choose(null);
      filters.gather(numbers);
      list.box.focus();
    },
  });
  const filters = new Filters({
    change: () => {
      const numbers = chosen(filters.wish());
      filters.tell(numbers.length);
      list.box.scrollTop = 0;
      list.show(numbers);
      markers.show(numbers);
      if (selected !== null && !list.places.has(selected)) choose(null);
    },
    leave: () => {
      list.box.focus();
      if (list.numbers.length && !list.places.has(list.active)) choose(list.numbers[0]);
    },
  });

  byId("summary").textContent = summaryText();
  byId("model").textContent = about.model[0] || BLANK;
  document.title = `geolocate: ${plural(photos.length, about.what)}`;
  byId("about-model").append(...about.model.map((line) => element("p", { text: line })));
  byId("licence").textContent = about.licence;
  byId("leaflet-version").textContent = L.version;
  byId("about-button").addEventListener("click", () => {
    const open = byId("about-panel").hidden;
    byId("about-panel").hidden = !open;
    byId("about-button").setAttribute("aria-expanded", open);
  });
  byId("everything").addEventListener("click", () => {
    choose(null);
    showEverything(map, list.numbers);
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      byId("text").focus();
      byId("text").select();
    } else if (event.key === "Escape") {
      if (selected !== null) choose(null);
      else filters.reset();
      list.box.focus();
    }
  });
  // Thumbnails come after this script.
  document.addEventListener("DOMContentLoaded", () => {
    list.redraw();
    if (selected !== null) details.show(photos[selected]);
  });

  filters.change();
  showEverything(map, list.numbers);
  performance.mark("photos are shown");
}

start();
