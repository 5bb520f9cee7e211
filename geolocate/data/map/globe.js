// Shapes on the globe as lines of a flat map, in one piece beyond 180°: circles of any size, great circles.

const EARTH_RADIUS_KM = 6371.0088;
const EARTH_CIRCUMFERENCE_KM = 2 * Math.PI * EARTH_RADIUS_KM;
const CIRCLE_POINTS = 180;
const RADIANS = Math.PI / 180;

// Where one gets from a point by `angle` radians in the direction `bearing`: [latitude, longitude], degrees.
function destination(latitude, longitude, angle, bearing) {
  const phi = latitude * RADIANS;
  const sine = Math.sin(phi) * Math.cos(angle) + Math.cos(phi) * Math.sin(angle) * Math.cos(bearing);
  const east = Math.sin(bearing) * Math.sin(angle) * Math.cos(phi);
  const turn = Math.atan2(east, Math.cos(angle) - Math.sin(phi) * sine);
  return [Math.asin(Math.max(-1, Math.min(1, sine))) / RADIANS, longitude + turn / RADIANS];
}

// Longitudes that go on instead of jumping by 360°.
function unwrapped(points) {
  let before = points[0][1];
  return points.map(([latitude, longitude]) => {
    before = longitude - 360 * Math.round((longitude - before) / 360);
    return [latitude, before];
  });
}

function ringAround(latitude, longitude, angle) {
  const ring = [];
  for (let i = 0; i <= CIRCLE_POINTS; i += 1) {
    ring.push(destination(latitude, longitude, angle, (2 * Math.PI * i) / CIRCLE_POINTS));
  }
  return unwrapped(ring);
}

function moved(points, turns) {
  return points.map(([latitude, longitude]) => [latitude, longitude + 360 * turns]);
}

// What lies within `km` of a point, as polygons with holes. A circle that holds a pole is closed along the
// edge of the map; one that holds both is the whole map but for a circle at the other side of the globe.
function circle(latitude, longitude, km) {
  const angle = Math.min(km / EARTH_RADIUS_KM, Math.PI);
  const ring = ringAround(latitude, longitude, angle);
  const north = angle > (90 - latitude) * RADIANS,
    south = angle > (90 + latitude) * RADIANS;
  const turns = [-1, 0, 1];
  if (north && south) {
    const west = longitude - 540,
      east = longitude + 540;
    const holes =
      angle < Math.PI
        ? turns.map((turn) => moved(ringAround(-latitude, longitude + 180, Math.PI - angle), turn))
        : [];
    return [
      [
        [
          [90, west],
          [90, east],
          [-90, east],
          [-90, west],
        ],
        ...holes,
      ],
    ];
  }
  if (north || south) {
    const pole = north ? 90 : -90;
    const line = turns.flatMap((turn) => moved(inOrder(ring), turn));
    return [[[[pole, line[0][1]], ...line, [pole, line[line.length - 1][1]]]]];
  }
  return turns.map((turn) => [moved(ring, turn)]);
}

// A ring round a pole from west to east, whichever way it went.
function inOrder(ring) {
  return ring[ring.length - 1][1] > ring[0][1] ? ring : [...ring].reverse();
}

// The shortest way between two points, [latitude, longitude] each.
function greatCircle(from, to) {
  const vectors = [from, to].map(([latitude, longitude]) => [
    Math.cos(latitude * RADIANS) * Math.cos(longitude * RADIANS),
    Math.cos(latitude * RADIANS) * Math.sin(longitude * RADIANS),
    Math.sin(latitude * RADIANS),
  ]);
  const [a, b] = vectors;
  const angle = Math.acos(Math.max(-1, Math.min(1, a[0] * b[0] + a[1] * b[1] + a[2] * b[2])));
  const steps = Math.ceil(angle / 0.03);
  if (steps < 2 || Math.PI - angle < 1e-6) return unwrapped([from, to]);
  const line = [];
  for (let i = 0; i <= steps; i += 1) {
    const p = Math.sin((1 - i / steps) * angle) / Math.sin(angle),
      q = Math.sin((i / steps) * angle) / Math.sin(angle);
    const [x, y, z] = [0, 1, 2].map((axis) => p * a[axis] + q * b[axis]);
    line.push([Math.atan2(z, Math.hypot(x, y)) / RADIANS, Math.atan2(y, x) / RADIANS]);
  }
  return unwrapped([from, ...line.slice(1)]);
}
