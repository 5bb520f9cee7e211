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
    for (const [candidate, place] of [...others.reverse(), [photo.first, from]])
      this._badge(photo, candidate, place);
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
    L.marker(place, { icon, title: "Position by EXIF", keyboard: false, zIndexOffset: 1500 }).addTo(
      this.layer,
    );
  }

  goTo(rank) {
    this.map.panTo(this.badges.get(rank).getLatLng());
  }

  mark(rank, on) {
    this.badges.get(rank)?.getElement()?.classList.toggle("marked", on);
  }
}

// Leaflet drops a change of view that comes while it draws another zoom step by step.
const AT_ONCE = { animate: false };
const NEAR_ZOOM = 5;
const SMALL_PX = 24;
const MARGIN_PX = 40;

// Brings a photo into view, its circle and its true position with it: moves where they are not seen, zooms
// out where they do not fit, and in where the circle is but a dot. `covered` pixels at the right are not free.
function bringIntoView(map, photo, covered) {
  if (photo.first === null) return;
  const place = [photo.first.latitude, nearest(map, photo.first.longitude)];
  const truth =
    photo.exif_latitude === undefined
      ? place
      : greatCircle(place, [photo.exif_latitude, photo.exif_longitude]).pop();
  const size = map.getSize().subtract([covered, 0]);
  const radius = (zoom) =>
    (photo.radius / EARTH_CIRCUMFERENCE_KM / Math.cos(place[0] * RADIANS)) * BASE_TILE_PX * 2 ** zoom || 0;
  const box = (zoom) => {
    const point = map.project(place, zoom),
      around = Math.max(MARGIN_PX, radius(zoom));
    const margin = [MARGIN_PX, MARGIN_PX],
      circle_ = [around, around],
      other = map.project(truth, zoom);
    return L.bounds([point.subtract(circle_), point.add(circle_), other.subtract(margin), other.add(margin)]);
  };
  const fits = (zoom) => size.contains(box(zoom).getSize());
  let zoom = map.getZoom();
  while (!fits(zoom) && zoom > map.getMinZoom()) zoom -= 0.5;
  while (2 * radius(zoom) < SMALL_PX && zoom < NEAR_ZOOM && fits(zoom + 0.5)) zoom += 0.5;
  const view = L.bounds(map.getPixelBounds().min, map.getPixelBounds().min.add(size));
  if (zoom === map.getZoom() && view.contains(box(zoom))) return;
  const middle = fits(zoom) ? box(zoom).getCenter() : map.project(place, zoom);
  const centre = map.unproject(middle.add([covered / 2, 0]), zoom);
  if (zoom === map.getZoom()) map.panTo(centre);
  else map.setView(centre, zoom, AT_ONCE);
}
