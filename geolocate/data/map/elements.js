// Elements made of text: nothing is ever parsed as markup.

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name === "click") made.addEventListener("click", value);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

// The thumbnail of a photo, or null: those of a large page arrive after its first photos are shown.
function thumbnail(photo) {
  const data = byId(`thumbnail-${photo.number}`);
  if (data === null) return null;
  return element("img", {
    class: "thumbnail",
    alt: "",
    src: `data:image/jpeg;base64,${data.textContent}`,
    draggable: "false",
  });
}

// How sure a photo's first place is, for its colour: 1 (sure) to 4.
const SURENESS_KM = [25, 200, 750];

function sureness(photo) {
  const step = SURENESS_KM.findIndex((km) => photo.radius <= km);
  return step < 0 ? SURENESS_KM.length + 1 : step + 1;
}
