// The map of a scan. Everything lies in the pixels of its scene; one matrix places them on the
// ground, north up, so that a rotated scene and its results stay together.
"use strict";
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("scan").textContent);
const canvas = $("map"), pen = canvas.getContext("2d"), popup = $("popup");
const view = { x: 0, y: 0, zoom: 1 };  // ground in the middle of the page, page pixels a metre
let scene, picture, least = 0, chosen = null;

const element = (tag, text, parent) => {
  const made = document.createElement(tag);
  made.textContent = text;
  if (parent) parent.append(made);
  return made;
};

// ---- places: scene pixels > ground (metres east and south) > page
const toGround = ([a, b, c, d, e, f], x, y) => [a * x + c * y + e, b * x + d * y + f];
const toPixels = ([a, b, c, d, e, f], x, y) => {
  const area = a * d - b * c;
  return [(d * (x - e) - c * (y - f)) / area, (a * (y - f) - b * (x - e)) / area];
};
const fromPage = (x, y) => [view.x + (x - canvas.clientWidth / 2) / view.zoom,
  view.y + (y - canvas.clientHeight / 2) / view.zoom];
const pixelsAt = (x, y) => toPixels(scene.matrix, ...fromPage(x, y));

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  if (!scene.matrix) return;
  const zoom = view.zoom * ratio, [a, b, c, d, e, f] = scene.matrix;
  pen.setTransform(zoom * a, zoom * b, zoom * c, zoom * d,
    zoom * (e - view.x) + canvas.width / 2, zoom * (f - view.y) + canvas.height / 2);
  const pixel = Math.sqrt(Math.abs(a * d - b * c)) * zoom;  // page pixels a scene pixel
  pen.imageSmoothingEnabled = pixel * scene.size[0] < 2 * picture.naturalWidth;
  if (picture.complete) pen.drawImage(picture, 0, 0, ...scene.size);
  for (const layer of scene.layers) {
    if (layer.hidden) continue;
    if (layer.cells) {
      drawCells(layer);
      continue;
    }
    pen.beginPath();
    layer.quads.forEach((quad, row) => {
      if (visible(layer, row)) outline(quad);
    });
    pen.lineJoin = "round";
    pen.strokeStyle = "#000";
    pen.lineWidth = 4 * ratio / pixel;
    pen.stroke();
    pen.strokeStyle = layer.colour;
    pen.lineWidth = 2 * ratio / pixel;
    pen.stroke();
  }
  if (chosen) {
    pen.beginPath();
    outline(chosen);
    pen.fillStyle = "#ffffff70";
    pen.fill();
  }
  drawScale();
}

function outline(quad) {
  pen.moveTo(quad[0], quad[1]);
  for (let k = 2; k < 8; k += 2) pen.lineTo(quad[k], quad[k + 1]);
  pen.closePath();
}

// A pixel a cell, laid over the cells' part of the scene.
function drawCells(layer) {
  const { columns, rows, region, values, confidence } = layer.cells;
  if (layer.drawnAt !== least) {
    layer.sheet = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
    const sheet = layer.sheet.getContext("2d"), pixels = sheet.createImageData(columns, rows);
    values.forEach((value, k) => {
      if (!value || confidence[k] < 1000 * least) return;
      pixels.data.set([...layer.classes[value - 1].colour, 255], 4 * k);
    });
    sheet.putImageData(pixels, 0, 0);
    layer.drawnAt = least;
  }
  pen.imageSmoothingEnabled = false;
  pen.globalAlpha = 0.55;
  pen.drawImage(layer.sheet, ...region);
  pen.globalAlpha = 1;
}

const visible = (layer, row) => !layer.facts.confidence || layer.facts.confidence[row] >= least;

function drawScale() {
  const metres = 120 / view.zoom, ten = 10 ** Math.floor(Math.log10(metres));
  const round = [5, 2, 1].find((n) => n * ten <= metres) * ten;
  $("scale").firstElementChild.style.width = `${round * view.zoom}px`;
  const unit = scene.corners ? (round >= 1000 ? [round / 1000, "km"] : [round, "m"]) : [round, "px"];
  $("scale").lastElementChild.textContent = `${+unit[0].toPrecision(3)} ${unit[1]}`;
}

function addSwatch(parent, colour) {
  const swatch = element("span", "", parent);
  swatch.className = "swatch";
  swatch.style.background = colour;
}

function show(number) {
  scene = data.scenes[number];
  chosen = null;
  popup.hidden = true;
  $("layers").replaceChildren();
  $("notes").replaceChildren();
  for (const note of [...scene.notes, data.note]) if (note) element("li", note, $("notes"));
  for (const layer of scene.layers) {
    const label = element("label", "", $("layers")), box = element("input", "", label);
    box.type = "checkbox";
    box.checked = !layer.hidden;
    box.addEventListener("change", () => { layer.hidden = !box.checked; draw(); });
    if (layer.colour) addSwatch(label, layer.colour);
    const words = [layer.title, layer.summary, layer.note].filter(Boolean).join(": ");
    element("span", words, label);
    (layer.classes || []).forEach((row, k) => {
      if (!layer.cells.values.includes(k + 1)) return;
      const line = element("div", "", $("layers"));
      addSwatch(line, `rgb(${row.colour})`);
      element("span", `${row.name}: ${row.summary}`, line);
    });
  }
  $("limit").hidden = !scene.layers.some((layer) => layer.cells || layer.facts.confidence);
  $("north").hidden = !scene.corners;
  if (!scene.matrix) return draw();
  picture = new Image();
  picture.addEventListener("load", draw);
  picture.src = scene.picture;
  fit();
}

function fit() {
  const [w, h] = scene.size, corners = [[0, 0], [w, 0], [w, h], [0, h]];
  const ground = corners.map(([x, y]) => toGround(scene.matrix, x, y));
  const xs = ground.map((at) => at[0]), ys = ground.map((at) => at[1]);
  const wide = Math.max(...xs) - Math.min(...xs), high = Math.max(...ys) - Math.min(...ys);
  const panel = canvas.clientWidth > 700 ? 290 : 0;
  view.zoom = 0.94 * Math.min((canvas.clientWidth - panel) / wide, canvas.clientHeight / high);
  view.x = (Math.max(...xs) + Math.min(...xs)) / 2 + panel / 2 / view.zoom;
  view.y = (Math.max(...ys) + Math.min(...ys)) / 2;
  draw();
}

function zoomBy(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const [east, south] = fromPage(x, y);
  view.zoom *= factor;
  const [newEast, newSouth] = fromPage(x, y);
  move(east - newEast, south - newSouth);
}

function move(east, south) {
  view.x += east;
  view.y += south;
  popup.hidden = true;
  draw();
}

// ---- what a click tells
const inside = (quad, x, y) => {
  let odd = false;
  for (let k = 0, j = 6; k < 8; j = k, k += 2) {
    const [x1, y1, x2, y2] = [quad[k], quad[k + 1], quad[j], quad[j + 1]];
    if (y1 > y !== y2 > y && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1) odd = !odd;
  }
  return odd;
};

function cellAt(layer, x, y) {
  const { columns, rows, region: [left, top, width, height], values, confidence } = layer.cells;
  const column = Math.floor((x - left) / width * columns), row = Math.floor((y - top) / height * rows);
  if (column < 0 || row < 0 || column >= columns || row >= rows) return null;
  const k = row * columns + column, wide = width / columns, high = height / rows;
  if (!values[k] || confidence[k] < 1000 * least) return null;
  const [x1, y1] = [left + column * wide, top + row * high];
  return { quad: [x1, y1, x1 + wide, y1, x1 + wide, y1 + high, x1, y1 + high], layer,
    facts: { class: layer.classes[values[k] - 1].name, confidence: confidence[k] / 1000 } };
}

function hitAt(x, y) {
  for (const layer of [...scene.layers].reverse()) {
    if (layer.hidden) continue;
    if (layer.cells) {
      const hit = cellAt(layer, x, y);
      if (hit) return hit;
      continue;
    }
    const row = layer.quads.findIndex((quad, k) => visible(layer, k) && inside(quad, x, y));
    if (row < 0) continue;
    const facts = {};
    for (const [name, values] of Object.entries(layer.facts)) facts[name] = values[row];
    return { quad: layer.quads[row], layer, facts };
  }
  return null;
}

function tell(x, y) {
  if (!scene.matrix) return;
  const hit = hitAt(...pixelsAt(x, y));
  chosen = hit && hit.quad;
  popup.hidden = !hit;
  draw();
  if (!hit) return;
  popup.replaceChildren();
  const facts = { question: hit.layer.title, ...hit.facts };
  for (const [name, value] of Object.entries(facts)) {
    if (value === null) continue;
    element("dt", name, popup);
    element("dd", String(value), popup);
  }
  popup.style.left = `${Math.max(4, Math.min(x + 12, canvas.clientWidth - 320))}px`;
  popup.style.top = `${Math.max(4, Math.min(y + 12, canvas.clientHeight - popup.offsetHeight - 8))}px`;
}

function tellPlace(x, y) {
  if (!scene.matrix) return;
  const [px, py] = pixelsAt(x, y);
  let words = `pixel ${Math.floor(px)}, ${Math.floor(py)}`;
  if (scene.corners) {
    const u = px / scene.size[0], v = py / scene.size[1], [p, q, r, s] = scene.corners;
    const [lon, lat] = [0, 1].map((k) =>
      (1 - v) * ((1 - u) * p[k] + u * q[k]) + v * ((1 - u) * s[k] + u * r[k]));
    const degrees = ((lon + 540) % 360) - 180;
    words += `; about ${Math.abs(lat).toFixed(5)}° ${lat < 0 ? "S" : "N"}, ` +
      `${Math.abs(degrees).toFixed(5)}° ${degrees < 0 ? "W" : "E"}`;
  }
  $("place").textContent = words;
}

// ---- hands
const pointers = new Map();
let moved = false;
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  moved = pointers.size > 1;
});
canvas.addEventListener("pointermove", (event) => {
  tellPlace(event.offsetX, event.offsetY);
  const last = pointers.get(event.pointerId);
  if (!last) return;
  const dx = event.offsetX - last.offsetX, dy = event.offsetY - last.offsetY;
  if (!moved && Math.hypot(dx, dy) < 4) return;
  const second = [...pointers.values()].find((point) => point.pointerId !== event.pointerId);
  if (second) {
    const gap = (point) => Math.hypot(point.offsetX - second.offsetX, point.offsetY - second.offsetY);
    zoomBy(gap(event) / Math.max(1, gap(last)), second.offsetX, second.offsetY);
  } else {
    move(-dx / view.zoom, -dy / view.zoom);
  }
  moved = true;
  pointers.set(event.pointerId, event);
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    if (name === "pointerup" && !moved) tell(event.offsetX, event.offsetY);
  });
}
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomBy(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const step = 60 / view.zoom;
  const act = {
    "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: fit,
    ArrowLeft: () => move(-step, 0), ArrowRight: () => move(step, 0),
    ArrowUp: () => move(0, -step), ArrowDown: () => move(0, step),
    Escape: () => { chosen = null; popup.hidden = true; draw(); },
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});
$("limit").querySelector("input").addEventListener("input", (event) => {
  least = Number(event.target.value);
  $("limit").querySelector("output").textContent = least;
  draw();
});
data.scenes.forEach((row, number) => {
  element("option", row.name, $("scenes")).value = number;
});
$("scenes").hidden = data.scenes.length < 2;
$("scenes").addEventListener("change", (event) => show(Number(event.target.value)));
window.addEventListener("resize", () => scene && draw());
show(0);
