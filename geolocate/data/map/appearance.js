// What the reader switches: light or dark, and map pictures from a server.

const TILE_URL = "https://tile.openstreetmap.org/{z}/{x}/{y}.png";
const OFFLINE_MAX_ZOOM = 12;
const ONLINE_MAX_ZOOM = 18;
const WORLD_CREDIT = "Natural Earth";

class Appearance {
  constructor(map) {
    this.map = map;
    this.world = new worldLayer({
      attribution: WORLD_CREDIT,
      maxZoom: ONLINE_MAX_ZOOM,
      maxNativeZoom: OFFLINE_MAX_ZOOM,
      zIndex: 0,
    });
    this.tiles = null;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this._theme(dark.matches);
    dark.addEventListener("change", () => this._theme(dark.matches));
    byId("theme").addEventListener("click", () => this._theme(!this.dark));
    byId("tiles").addEventListener("click", () => this._tiles(this.tiles === null));
  }

  _theme(dark) {
    this.dark = dark;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    byId("theme").setAttribute("aria-pressed", dark);
    this.world.remove().addTo(this.map); // redraw() keeps the columns of an earlier zoom
  }

  // Off until the reader asks: the server learns an address and what is looked at.
  _tiles(on) {
    byId("tiles").setAttribute("aria-pressed", on);
    byId("notice").textContent = on ? "Asking tile.openstreetmap.org …" : BLANK;
    this.map.setMaxZoom(on ? ONLINE_MAX_ZOOM : OFFLINE_MAX_ZOOM);
    if (!on) {
      this.tiles.remove();
      this.tiles = null;
      return;
    }
    this.tiles = L.tileLayer(TILE_URL, {
      maxZoom: ONLINE_MAX_ZOOM,
      className: "tiles",
      attribution: "© OpenStreetMap contributors",
      referrerPolicy: "origin",
    });
    this.tiles.on("tileerror", () => {
      byId("notice").textContent = "The tile server gives no pictures.";
    });
    this.tiles.on("tileload", () => {
      byId("notice").textContent = BLANK;
    });
    this.tiles.addTo(this.map);
  }
}
