// A curve of losses over steps: training, validation and, on a scale of its own, a score.
const NS = "http://www.w3.org/2000/svg";
const root = element.querySelector(".swath-curve");
const WIDE = 720, HIGH = 260, LEFT = 46, RIGHT = 40, TOP = 12, BOTTOM = 30;

function make(name, attributes, parent, text) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}
const legend = document.createElement("p");
const svg = document.createElementNS(NS, "svg");
svg.setAttribute("viewBox", `0 0 ${WIDE} ${HIGH}`);
root.append(legend, svg);

function ticks(top, count) {   // round numbers from 0 to top
  const raw = top / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= raw);
  const result = [];
  for (let value = 0; value <= top * 1.0001; value += step) result.push(Number(value.toPrecision(6)));
  return result;
}
function highest(values) {     // the first steps' losses may not flatten the others
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(0.99 * (sorted.length - 1))] * 1.05 || 1;
}
function entry(kind, text) {
  const node = document.createElement("span");
  node.className = kind;
  node.textContent = text;
  legend.append(node);
}
function show() {
  const { loss = [], val = [], score = [], stages = [] } = props.value || {};
  svg.replaceChildren();
  legend.replaceChildren();
  root.hidden = !loss.length;
  if (!loss.length) return;
  const last = loss.at(-1)[0], top = highest([...loss, ...val].map((point) => point[1]));
  const x = (step) => LEFT + (WIDE - LEFT - RIGHT) * step / last;
  const y = (value) => TOP + (HIGH - TOP - BOTTOM) * (1 - Math.min(value / top, 1));
  for (const value of ticks(top, 4)) {
    make("line", { class: "grid", x1: LEFT, x2: WIDE - RIGHT, y1: y(value), y2: y(value) }, svg);
    make("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, svg, String(value));
  }
  for (const step of ticks(last, 6)) make("text", { x: x(step), y: HIGH - 10, "text-anchor": "middle" }, svg, String(step));
  for (const [name, before] of stages.length > 1 ? stages : []) {
    make("line", { class: "stage", x1: x(before), x2: x(before), y1: TOP, y2: HIGH - BOTTOM }, svg);
    make("text", { x: x(before) + 4, y: TOP + 10 }, svg, name);
  }
  const line = (points, kind, scale) => {
    const path = points.map(([step, value]) => `${x(step).toFixed(1)},${scale(value).toFixed(1)}`).join(" ");
    if (points.length > 1) make("polyline", { class: kind, points: path }, svg);
    if (points.length < 40) for (const [step, value] of points) make("circle", { class: kind, cx: x(step), cy: scale(value), r: 2.5 }, svg);
  };
  line(loss, "loss", y);
  entry("loss", `${constants.words.loss} ${loss.at(-1)[1].toFixed(3)}`);
  if (val.length) { line(val, "val", y); entry("val", `${constants.words.val} ${val.at(-1)[1].toFixed(3)}`); }
  if (score.length) {
    line(score, "score", (value) => TOP + (HIGH - TOP - BOTTOM) * (1 - value));
    entry("score", `${constants.words.score} ${score.at(-1)[1].toFixed(3)}`);
    for (const value of [0, 0.5, 1]) make("text", { class: "score", x: WIDE - RIGHT + 6, y: TOP + (HIGH - TOP - BOTTOM) * (1 - value) + 4 }, svg, String(value));
  }
  svg.dataset.points = loss.length;
  svg.dataset.last = last;
}
watch("value", show);
show();
