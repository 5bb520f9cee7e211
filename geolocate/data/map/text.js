// Numbers and places as people read them.
"use strict";

const BLANK = "";

function kilometres(km) {
  if (km < 10) return `${km.toFixed(1)} km`;
  return `${whole(km)} km`;
}

function whole(number) {
  return Math.round(number).toLocaleString("en-GB");
}

function percent(share) {
  if (!(share >= 0)) return "not known";
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function degrees(latitude, longitude) {
  const ns = latitude < 0 ? "S" : "N";
  const ew = longitude < 0 ? "W" : "E";
  return `${Math.abs(latitude).toFixed(4)}° ${ns}, ${Math.abs(longitude).toFixed(4)}° ${ew}`;
}

// The nearest place, its region and country; the position where nothing has a name.
function placeName(candidate) {
  const parts = [candidate.place, candidate.region, candidate.country];
  const named = parts.filter((part, i) => part && parts.indexOf(part) === i).join(", ");
  return named || degrees(candidate.latitude, candidate.longitude);
}

function shortPlace(candidate) {
  return [candidate.place, candidate.country].filter(Boolean).join(", ") || placeName(candidate);
}

function plural(count, what) {
  return `${whole(count)} ${count === 1 ? what.replace(/s$/, "") : what}`;
}

function median(numbers) {
  const sorted = Float64Array.from(numbers).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
