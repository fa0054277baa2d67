// What work has left: its map, if there is one, and its files to fetch.
const root = element.querySelector(".swath-results");
const add = (name, parent, values) => parent.appendChild(Object.assign(document.createElement(name), values));
function show() {
  const { map, files = [] } = props.value || {};
  root.replaceChildren();
  root.hidden = !files.length;
  if (map) {
    const frame = add("iframe", root, { src: map, title: "map.html" });
    frame.setAttribute("sandbox", "allow-scripts");
  }
  const list = add("p", root, {});
  for (const [name, href] of files) add("a", list, { href, textContent: name, download: name });
}
watch("value", show);
show();
