// A picture with boxes over it, on which oriented boxes are drawn by hand.
// All coordinates are pixels of the picture; zooming only changes the view box.
const NS = "http://www.w3.org/2000/svg";
const root = element.querySelector(".swath-canvas");
const DRAG_PX = 4;        // a pointer that moved less has clicked
const HANDLE_PX = 7;      // radius on screen
const TURN_PX = 28;       // how far the round handle stands off, on screen
const MOST_ZOOM = 64;

let view = null;          // x, y, width, height of what is shown
let moving = false;       // whether dragging moves the view
let corners = [];         // clicked so far, of a box of four clicks
let chosen = -1;          // number of the drawn box that has handles
let shownSource = "";

function make(name, attributes, parent) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (parent) parent.append(node);
  return node;
}
function html(name, parent, text) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

const bar = html("div", root);
bar.className = "bar";
function button(key, sign, act) {
  const node = html("button", bar, sign || constants.words[key]);
  node.type = "button";
  node.title = constants.words[key];
  node.setAttribute("aria-label", node.title);
  node.dataset.act = key;
  node.onclick = act;
  return node;
}
const drawButton = button("draw", "", () => { moving = false; tools(); });
const moveButton = button("move", "", () => { moving = true; tools(); });
button("in", "+", () => zoom(0.5));
button("out", "−", () => zoom(2));
button("fit", "⤢", () => { view = null; draw(); });
const clearButton = button("clear", "", () => { corners = []; chosen = -1; keep([]); });
const name = html("span", bar);
name.className = "name";
const svg = make("svg", { tabindex: "0" }, root);
const image = make("image", { x: 0, y: 0, preserveAspectRatio: "none" }, svg);
const layer = make("g", {}, svg);
const strip = html("div", root);
strip.className = "strip";
const hint = html("p", root, constants.words.hint);
hint.className = "hint";
const empty = html("p", root, constants.words.empty);
empty.className = "empty";
image.addEventListener("error", () => { name.textContent = constants.words.unreadable; });

const state = () => props.value || { pictures: [], at: 0, frame: 0, drawn: [], most: 0 };
const picture = () => state().pictures[state().at];
const drawable = () => state().most > 0 && state().at === state().frame && Boolean(picture());
const round = (value) => Math.round(value * 10) / 10;
const perPixel = () => {   // picture pixels a screen pixel measures
  const matrix = svg.getScreenCTM();
  return matrix ? 1 / matrix.a : 1;
};
function place(event) {
  const point = new DOMPoint(event.clientX, event.clientY);
  const at = point.matrixTransform(svg.getScreenCTM().inverse());
  return [at.x, at.y];
}
function keep(drawn) {
  props.value = { ...state(), drawn };
  draw();
  trigger("input");
}

function zoom(factor, at) {
  const shown = picture();
  if (!shown) return;
  const [width, height] = shown.size_wh;
  const [x, y] = at || [view[0] + view[2] / 2, view[1] + view[3] / 2];
  const least = Math.max(width, height) / MOST_ZOOM;
  const scale = Math.min(Math.max(factor, least / Math.max(view[2], view[3])), width / view[2]);
  view = [x - (x - view[0]) * scale, y - (y - view[1]) * scale, view[2] * scale, view[3] * scale];
  inside();
  draw();
}
function inside() {        // the view never leaves the picture
  const [width, height] = picture().size_wh;
  view[0] = Math.min(Math.max(view[0], 0), width - view[2]);
  view[1] = Math.min(Math.max(view[1], 0), height - view[3]);
}

// A rectangle stays one: the opposite corner and the directions of its sides stay.
function dragged(box, corner, x, y) {
  const moved = [...box], opposite = (corner + 4) % 8, sides = [];
  for (const next of [(corner + 2) % 8, (corner + 6) % 8]) {
    const dx = box[next] - box[opposite], dy = box[next + 1] - box[opposite + 1];
    const length = Math.hypot(dx, dy) || 1;
    sides.push([next, dx / length, dy / length]);
  }
  const right = Math.abs(sides[0][1] * sides[1][1] + sides[0][2] * sides[1][2]) < 0.02;
  if (right) for (const [next, ux, uy] of sides) {
    const far = (x - box[opposite]) * ux + (y - box[opposite + 1]) * uy;
    moved[next] = box[opposite] + far * ux;
    moved[next + 1] = box[opposite + 1] + far * uy;
  }
  moved[corner] = x;
  moved[corner + 1] = y;
  return moved;
}
const middle = (box) => [0, 1].map((axis) => (box[axis] + box[axis + 2] + box[axis + 4] + box[axis + 6]) / 4);
function turned(box, angle) {
  const [cx, cy] = middle(box), cos = Math.cos(angle), sin = Math.sin(angle), result = [];
  for (let i = 0; i < 8; i += 2) {
    const dx = box[i] - cx, dy = box[i + 1] - cy;
    result.push(cx + dx * cos - dy * sin, cy + dx * sin + dy * cos);
  }
  return result;
}
function inOrder(points) { // four clicks in any order go around the box
  const cx = points.reduce((sum, p) => sum + p[0], 0) / 4, cy = points.reduce((sum, p) => sum + p[1], 0) / 4;
  const angle = (p) => Math.atan2(p[1] - cy, p[0] - cx);
  return [...points].sort((a, b) => angle(a) - angle(b)).flat();
}
function add(box) {
  const { drawn, most } = state();
  const all = most === 1 ? [box] : [...drawn, box];
  chosen = all.length - 1;
  keep(all.map((one) => one.map(round)));
}
function replace(number, box, done) {
  const drawn = state().drawn.map((one, at) => (at === number ? box.map(round) : one));
  if (done) { keep(drawn); return; }
  props.value = { ...state(), drawn };
  draw();
}

function follow(event, move, end) {
  event.preventDefault();
  event.stopPropagation();
  svg.focus({ preventScroll: true });
  const up = (last) => {
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", up);
    end(last);
  };
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", up);
}
svg.addEventListener("pointerdown", (event) => {
  if (!picture() || event.button > 1) return;
  const start = place(event), screen = [event.clientX, event.clientY];
  if (moving || event.button === 1 || !drawable()) {
    const from = [...view];
    follow(event, (now) => {
      const scale = perPixel();
      view = [from[0] - (now.clientX - screen[0]) * scale, from[1] - (now.clientY - screen[1]) * scale, from[2], from[3]];
      inside();
      draw();
    }, () => {});
    return;
  }
  let band = null;
  const box = (end) => [start[0], start[1], end[0], start[1], end[0], end[1], start[0], end[1]];
  const far = (now) => Math.hypot(now.clientX - screen[0], now.clientY - screen[1]) > DRAG_PX;
  follow(event, (now) => {
    if (!band && !far(now)) return;
    band = band || make("polygon", { class: "drawn" }, layer);
    band.setAttribute("points", box(place(now)).join(" "));
  }, (last) => {
    if (band) { corners = []; add(box(place(last))); return; }
    corners.push(start);
    if (corners.length === 4) {
      const quad = inOrder(corners);
      corners = [];
      add(quad);
    } else draw();
  });
});
svg.addEventListener("wheel", (event) => {
  if (!picture()) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? 0.8 : 1.25, place(event));
}, { passive: false });
svg.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { corners = []; chosen = -1; draw(); }
  if ((event.key === "Delete" || event.key === "Backspace") && chosen >= 0) {
    const number = chosen;
    chosen = -1;
    keep(state().drawn.filter((box, at) => at !== number));
  }
});

function handles(box, number) {
  const scale = perPixel(), radius = HANDLE_PX * scale;
  for (let corner = 0; corner < 8; corner += 2) {
    const dot = make("circle", { class: "corner", cx: box[corner], cy: box[corner + 1], r: radius }, layer);
    dot.addEventListener("pointerdown", (event) => {
      let now = box;
      follow(event, (move) => { now = dragged(box, corner, ...place(move)); replace(number, now); },
        () => replace(number, now, true));
    });
  }
  const [cx, cy] = middle(box), mx = (box[0] + box[2]) / 2, my = (box[1] + box[3]) / 2;
  const length = Math.hypot(mx - cx, my - cy) || 1;
  const tx = mx + (mx - cx) / length * TURN_PX * scale, ty = my + (my - cy) / length * TURN_PX * scale;
  make("line", { class: "drawn", x1: mx, y1: my, x2: tx, y2: ty }, layer);
  const knob = make("circle", { class: "turn", cx: tx, cy: ty, r: radius }, layer);
  knob.addEventListener("pointerdown", (event) => {
    const first = Math.atan2(ty - cy, tx - cx);
    let now = box;
    follow(event, (move) => {
      const [x, y] = place(move);
      now = turned(box, Math.atan2(y - cy, x - cx) - first);
      replace(number, now);
    }, () => replace(number, now, true));
  });
}
function label(text, x, y) {
  const scale = perPixel();
  const node = make("text", { x: x + 3 * scale, y: y - 4 * scale, "font-size": 14 * scale, "stroke-width": 3 * scale }, layer);
  node.textContent = text;
}
function draw() {
  const shown = picture();
  root.classList.toggle("bare", !shown);
  layer.replaceChildren();
  if (!shown) { image.removeAttribute("href"); shownSource = ""; return; }
  const [width, height] = shown.size_wh;
  if (shownSource !== shown.src) {
    shownSource = shown.src;
    image.setAttribute("href", shown.src);
    image.setAttribute("width", width);
    image.setAttribute("height", height);
    svg.style.aspectRatio = `${width} / ${height}`;
    svg.style.maxWidth = `calc(66vh * ${width / height})`;
    name.textContent = shown.name;
    view = null;
    corners = [];
    chosen = -1;
  }
  view = view || [0, 0, width, height];
  svg.setAttribute("viewBox", view.join(" "));
  for (const box of shown.boxes || []) {
    make("polygon", { class: box.style, points: box.quad.join(" ") }, layer);
    if (box.label) label(box.label, box.quad[0], box.quad[1]);
  }
  if (state().at === state().frame) state().drawn.forEach((box, number) => {
    const polygon = make("polygon", { class: "drawn", points: box.join(" ") }, layer);
    if (moving || !drawable()) return;
    polygon.addEventListener("pointerdown", (event) => {
      chosen = number;
      const start = place(event);
      let now = box;
      follow(event, (move) => {
        const [x, y] = place(move);
        now = box.map((value, axis) => value + (axis % 2 ? y - start[1] : x - start[0]));
        replace(number, now);
      }, () => replace(number, now, true));
    });
  });
  if (!moving && drawable() && chosen >= 0 && chosen < state().drawn.length) handles(state().drawn[chosen], chosen);
  const scale = perPixel();
  if (corners.length > 1) make("polyline", { class: "drawn", points: corners.flat().join(" ") }, layer);
  for (const [x, y] of corners) make("circle", { class: "corner", cx: x, cy: y, r: HANDLE_PX * scale }, layer);
}
function thumbnails() {
  strip.replaceChildren();
  if (state().pictures.length < 2) return;
  state().pictures.forEach((shown, number) => {
    const node = html("button", strip), small = html("img", node);
    node.type = "button";
    node.title = shown.name;
    node.classList.toggle("chosen", number === state().at);
    small.src = shown.src;
    small.alt = shown.name;
    html("span", node, String(number + 1));
    node.onclick = () => { props.value = { ...state(), at: number }; all(); trigger("input"); };
  });
}
function tools() {
  const draws = drawable();
  for (const node of [drawButton, moveButton, clearButton, hint]) node.hidden = !draws;
  drawButton.classList.toggle("chosen", !moving);
  moveButton.classList.toggle("chosen", moving);
  svg.classList.toggle("moving", moving || !draws);
  draw();
}
function all() {
  if (chosen >= state().drawn.length) chosen = -1;
  thumbnails();
  tools();
}
watch("value", all);
new ResizeObserver(draw).observe(svg);
all();
