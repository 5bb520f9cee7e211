// The land, the borders and the names of countries below the photos, drawn in tiles of any zoom.

const LABEL_FONT = "600 11px system-ui, sans-serif";
const BASE_TILE_PX = 256;

// Arcs of the data file as x and y in the Mercator square, which may leave 0 to 1.
function worldArcs(world) {
  return world.arcs.map((moves) => {
    const arc = [];
    let x = 0,
      y = 0;
    for (let i = 0; i < moves.length; i += 2) {
      x += moves[i];
      y += moves[i + 1];
      const point = mercator(y * world.unit, x * world.unit);
      arc.push([point.x, point.y]);
    }
    return arc;
  });
}

// The points of a ring in one piece; one that goes round a pole is closed along the edge of the map.
function ringOf(indices, arcs) {
  const ring = [];
  for (const index of indices) {
    const arc = index < 0 ? [...arcs[~index]].reverse() : arcs[index];
    const shift = ring.length ? Math.round(ring[ring.length - 1][0] - arc[0][0]) : 0;
    for (const [x, y] of arc) ring.push([x + shift, y]);
  }
  const first = ring[0],
    last = ring[ring.length - 1];
  if (Math.abs(last[0] - first[0]) > 0.5) {
    const edge = first[1] > 0.5 ? 1.01 : -0.01;
    ring.push([last[0], edge], [first[0], edge]);
  }
  return ring;
}

function traced(path, points, box) {
  points.forEach(([x, y], i) => {
    if (i) path.lineTo(x, y);
    else path.moveTo(x, y);
    box.west = Math.min(box.west, x);
    box.east = Math.max(box.east, x);
    box.north = Math.min(box.north, y);
    box.south = Math.max(box.south, y);
  });
}

function emptyShape() {
  return { path: new Path2D(), west: Infinity, east: -Infinity, north: Infinity, south: -Infinity };
}

// Shapes to fill (countries) and to stroke (coasts are in one country, borders in two).
function worldShapes(world) {
  const arcs = worldArcs(world);
  const uses = new Uint8Array(arcs.length);
  const countries = world.countries.map(({ name, label, width, rings }) => {
    const shape = emptyShape();
    for (const indices of rings) {
      for (const index of indices) uses[index < 0 ? ~index : index] += 1;
      traced(shape.path, ringOf(indices, arcs), shape);
      shape.path.closePath();
    }
    return { ...shape, name, width: width / 360, label: mercator(label[1], label[0]) };
  });
  const lines = arcs.map((arc, index) => {
    const shape = emptyShape();
    traced(shape.path, arc, shape);
    return { ...shape, border: uses[index] > 1 };
  });
  return { countries, lines };
}

const worldLayer = L.GridLayer.extend({
  options: { tileSize: BASE_TILE_PX, updateWhenZooming: false, pane: "tilePane" },

  initialize(options) {
    L.setOptions(this, options);
    this._shapes = worldShapes(JSON.parse(byId("world").textContent));
  },

  // Each tile is a task of its own: between two, keys and clicks are heard.
  createTile(place, done) {
    const tile = L.DomUtil.create("canvas", "world-tile");
    setTimeout(() => {
      this._paint(tile, place);
      done(null, tile);
    });
    return tile;
  },

  _paint(tile, { x, y, z }) {
    const sharpness = Math.max(2, window.devicePixelRatio || 1);
    tile.width = tile.height = BASE_TILE_PX * sharpness;
    const tiles = 2 ** z;
    const pen = tile.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    pen.fillStyle = colour("sea");
    pen.fillRect(0, 0, tile.width, tile.height);
    for (const turn of [-1, 0, 1]) {
      const scale = tile.width * tiles;
      const window_ = {
        west: x / tiles - turn,
        east: (x + 1) / tiles - turn,
        north: y / tiles,
        south: (y + 1) / tiles,
      };
      pen.setTransform(scale, 0, 0, scale, (turn * tiles - x) * tile.width, -y * tile.width);
      this._draw(pen, window_, colour, sharpness / scale);
      pen.setTransform(sharpness, 0, 0, sharpness, 0, 0);
      this._name(pen, window_, colour, tiles * BASE_TILE_PX);
    }
  },

  _draw(pen, tile, colour, pixel) {
    const near = ({ west, east, north, south }) =>
      east >= tile.west && west <= tile.east && south >= tile.north && north <= tile.south;
    pen.fillStyle = colour("land");
    for (const country of this._shapes.countries) if (near(country)) pen.fill(country.path, "evenodd");
    pen.lineJoin = "round";
    for (const line of this._shapes.lines) {
      if (!near(line)) continue;
      pen.strokeStyle = colour(line.border ? "border" : "coast");
      pen.lineWidth = (line.border ? 0.8 : 0.9) * pixel;
      pen.stroke(line.path);
    }
  },

  // Names stand where there is room for them, and go on in the next tile where one ends.
  _name(pen, tile, colour, size) {
    pen.font = LABEL_FONT;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillStyle = colour("label");
    for (const { name, width, label } of this._shapes.countries) {
      if (label.y * size < tile.north * size - 20 || label.y * size > tile.south * size + 20) continue;
      const room = width * size,
        text = pen.measureText(name).width;
      if (text > room) continue;
      const from = (label.x - tile.west) * size;
      if (from + text < 0 || from - text > BASE_TILE_PX) continue;
      pen.fillText(name, from, (label.y - tile.north) * size);
    }
  },
});
