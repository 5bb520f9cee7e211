// The shown photos on the map: a dot each, circles with a number where there are many.

const CELL_PX = 64;
const MERGED_PX = 46;
const OUTSIDE_PX = 40;

// Photos near each other on the screen at a zoom, as groups with the mean of their places.
function grouped(numbers, zoom) {
  const size = BASE_TILE_PX * 2 ** zoom;
  const cells = new Map();
  const key = (column, row) => column * 2 ** 24 + row;
  for (const number of numbers) {
    const { x, y, first } = photos[number];
    if (first === null) continue;
    const column = Math.floor((x * size) / CELL_PX),
      row = Math.floor((y * size) / CELL_PX);
    const cell = cells.get(key(column, row));
    if (cell) addTo(cell, { x, y, members: [number], west: x, east: x, north: y, south: y });
    else
      cells.set(key(column, row), {
        column,
        row,
        x,
        y,
        members: [number],
        west: x,
        east: x,
        north: y,
        south: y,
      });
  }
  const groups = [];
  for (const group of [...cells.values()].sort((a, b) => b.members.length - a.members.length)) {
    if (group.taken) continue;
    for (let column = group.column - 1; column <= group.column + 1; column += 1) {
      for (let row = group.row - 1; row <= group.row + 1; row += 1) {
        const other = cells.get(key(column, row));
        if (!other || other === group || other.taken) continue;
        if (Math.hypot(other.x - group.x, other.y - group.y) * size > MERGED_PX) continue;
        addTo(group, other);
        other.taken = true;
      }
    }
    group.taken = true;
    groups.push(group);
  }
  return groups;
}

function addTo(group, other) {
  const count = group.members.length,
    more = other.members.length;
  group.x = (group.x * count + other.x * more) / (count + more);
  group.y = (group.y * count + other.y * more) / (count + more);
  for (const number of other.members) group.members.push(number);
  group.west = Math.min(group.west, other.west);
  group.east = Math.max(group.east, other.east);
  group.north = Math.min(group.north, other.north);
  group.south = Math.max(group.south, other.south);
}

function fromMercator(x, y) {
  return [Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) / RADIANS, x * 360 - 180];
}

// The copy of a longitude that is nearest to the middle of the map.
function nearest(map, longitude) {
  return longitude + 360 * Math.round((map.getCenter().lng - longitude) / 360);
}

// Markers are not in the order of the keyboard: the list is, and holds the same photos.
class Markers {
  constructor(map, { choose, gather }) {
    this.map = map;
    this.choose = choose;
    this.gather = gather;
    this.numbers = [];
    this.drawn = new Map();
    this.layer = L.layerGroup().addTo(map);
    map.on("moveend zoomend resize", () => this.draw());
  }

  show(numbers) {
    this.numbers = numbers;
    this.groups = null;
    this.draw();
  }

  draw() {
    const zoom = Math.round(this.map.getZoom() * 2) / 2;
    if (!this.groups || this.zoom !== zoom) this.groups = grouped(this.numbers, zoom);
    this.zoom = zoom;
    const view = this.map.getPixelBounds();
    const wanted = new Map();
    for (const group of this.groups) {
      const [latitude, longitude] = fromMercator(group.x, group.y);
      const place = [latitude, nearest(this.map, longitude)];
      const point = this.map.project(place);
      if (point.x < view.min.x - OUTSIDE_PX || point.x > view.max.x + OUTSIDE_PX) continue;
      if (point.y < view.min.y - OUTSIDE_PX || point.y > view.max.y + OUTSIDE_PX) continue;
      const { members } = group;
      wanted.set(`${members[0]} ${members.length} ${place}`, [group, place]);
    }
    for (const [key, marker] of this.drawn) {
      if (wanted.has(key)) continue;
      this.layer.removeLayer(marker);
      this.drawn.delete(key);
    }
    for (const [key, [group, place]] of wanted) {
      if (!this.drawn.has(key)) this.drawn.set(key, this._marker(group, place).addTo(this.layer));
    }
  }

  _marker(group, place) {
    const count = group.members.length;
    const photo = photos[group.members[0]];
    const size =
      count === 1 ? 18 : Math.min(56, 24 + 7 * Math.log10(count) + 3 * String(whole(count)).length);
    const icon = L.divIcon({
      className: count === 1 ? `dot sure-${sureness(photo)}` : "group",
      iconSize: [size, size],
      html: element("span", { text: count === 1 ? "" : whole(count) }),
    });
    const title = count === 1 ? `${photo.name}: ${shortPlace(photo.first)}` : plural(count, about.what);
    const marker = L.marker(place, { icon, title, keyboard: false, riseOnHover: true });
    return marker.on("click", () => (count === 1 ? this.choose(photo.number) : this._open(group)));
  }

  // Zooms in until the group falls apart; what lies at one point is listed.
  _open(group) {
    if (Math.max(group.east - group.west, group.south - group.north) < 1e-7) {
      this.gather(group.members);
      return;
    }
    const corners = [fromMercator(group.west, group.south), fromMercator(group.east, group.north)];
    const turn = nearest(this.map, corners[0][1]) - corners[0][1];
    const bounds = corners.map(([latitude, longitude]) => [latitude, longitude + turn]);
    const before = this.map.getZoom();
    const zoom = Math.min(
      this.map.getMaxZoom(),
      Math.max(before + 1, this.map.getBoundsZoom(bounds, false, [60, 60])),
    );
    if (zoom > before) this.map.setView(L.latLngBounds(bounds).getCenter(), zoom);
    else this.gather(group.members);
  }
}
