// The chosen photo on the map: the circle of its radius, its candidates by number, the true position.

class Overlay {
  constructor(map) {
    this.map = map;
    this.layer = L.layerGroup().addTo(map);
    this.badges = new Map();
  }

  show(photo) {
    this.layer.clearLayers();
    this.badges.clear();
    this.map.getContainer().classList.toggle("chosen", photo !== null && photo.first !== null);
    if (photo === null) return;
    const truth = photo.exif_latitude === undefined ? null : [photo.exif_latitude, photo.exif_longitude];
    if (photo.first === null) {
      if (truth) this._truth([truth[0], nearest(this.map, truth[1])]);
      return;
    }
    const from = [photo.first.latitude, nearest(this.map, photo.first.longitude)];
    if (photo.radius > 0) {
      for (const polygon of circle(...from, photo.radius)) {
        L.polygon(polygon, { className: "radius", interactive: false, smoothFactor: 0 }).addTo(this.layer);
      }
    }
    const others = photo.candidates.slice(1).map((candidate) => {
      const line = greatCircle(from, [candidate.latitude, candidate.longitude]);
      L.polyline(line, { className: "to-candidate", interactive: false }).addTo(this.layer);
      return [candidate, line[line.length - 1]];
    });
    if (truth) {
      const line = greatCircle(from, truth);
      L.polyline(line, { className: "to-truth", interactive: false }).addTo(this.layer);
      this._truth(line[line.length - 1]);
    }
    for (const [candidate, place] of [...others.reverse(), [photo.first, from]]) this._badge(photo, candidate, place);
  }

  _badge(photo, candidate, place) {
    const rank = photo.candidates.indexOf(candidate) + 1;
    const icon = L.divIcon({
      className: rank === 1 ? "badge best" : "badge",
      iconSize: rank === 1 ? [30, 30] : [22, 22],
      html: element("span", { text: rank }),
    });
    const title = `${rank}. ${placeName(candidate)}, ${percent(candidate.probability)}`;
    const marker = L.marker(place, { icon, title, keyboard: false, zIndexOffset: 2000 - rank });
    this.badges.set(rank, marker.on("click", () => this.goTo(rank)).addTo(this.layer));
  }

  _truth(place) {
    const icon = L.divIcon({ className: "truth", iconSize: [20, 20], html: element("span") });
    L.marker(place, { icon, title: "Position by EXIF", keyboard: false, zIndexOffset: 1500 }).addTo(this.layer);
  }

  goTo(rank) {
    this.map.panTo(this.badges.get(rank).getLatLng());
  }

  mark(rank, on) {
    this.badges.get(rank)?.getElement()?.classList.toggle("marked", on);
  }
}

const NEAR_ZOOM = 5;

// Brings a photo into view: moves where its place is not seen, zooms where its circle is too small or too large.
function bringIntoView(map, photo, covered) {
  if (photo.first === null) return;
  const place = L.latLng(photo.first.latitude, nearest(map, photo.first.longitude));
  const size = map.getSize();
  const free = { x: size.x - covered, y: size.y };
  const metresPerPixel = 40075016.7 * Math.cos(place.lat * RADIANS) / (BASE_TILE_PX * 2 ** map.getZoom());
  const across = (2000 * photo.radius) / metresPerPixel;
  let zoom = map.getZoom();
  if (across > Math.min(free.x, free.y) * 1.1) zoom -= Math.log2(across / (Math.min(free.x, free.y) * 0.9));
  else if (across < 24) zoom = Math.min(zoom + Math.log2(90 / Math.max(across, 0.01)), Math.max(zoom, NEAR_ZOOM));
  zoom = Math.min(map.getMaxZoom(), Math.max(map.getMinZoom(), Math.round(zoom * 2) / 2));
  const point = map.latLngToContainerPoint(place);
  const margin = Math.min(Math.max(50, across / 2 || 0), free.x / 2 - 1, free.y / 2 - 1);
  const seen = [point.x, free.x - point.x, point.y, free.y - point.y].every((gap) => gap >= margin);
  if (seen && zoom === map.getZoom()) return;
  const middle = map.project(place, zoom).add([covered / 2, 0]);
  map.setView(map.unproject(middle, zoom), zoom);
}
