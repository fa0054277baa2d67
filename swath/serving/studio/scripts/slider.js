// Two pictures of one place on one another: a bar between them shows more of the one or the other.
const root = element.querySelector(".swath-slider");
const add = (name, kind, parent) => {
  const node = document.createElement(name);
  node.className = kind;
  return parent.appendChild(node);
};
const frame = add("div", "frame", root);
const after = add("img", "after", frame), before = add("img", "before", frame), bar = add("i", "", frame);
const labels = [add("span", "before", frame), add("span", "after", frame)];
const range = add("input", "", root);
Object.assign(range, { type: "range", min: 0, max: 1000, value: 500 });
range.setAttribute("aria-label", constants.words.slider);
for (const label of labels) label.textContent = constants.words[label.className];
function cut() {
  const share = range.value / 10;
  before.style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  bar.style.left = `${share}%`;
}
frame.onpointermove = (event) => {
  if (!event.buttons) return;
  const place = frame.getBoundingClientRect();
  range.value = 1000 * (event.clientX - place.left) / place.width;
  cut();
};
frame.onpointerdown = (event) => { event.preventDefault(); frame.setPointerCapture(event.pointerId); frame.onpointermove(event); };
range.oninput = cut;
function show() {
  const value = props.value || {};
  root.hidden = !value.before;
  if (root.hidden) return;
  for (const [image, key] of [[before, "before"], [after, "after"]]) {
    image.src = value[key];
    image.alt = constants.words[key];
  }
  cut();
}
watch("value", show);
show();
