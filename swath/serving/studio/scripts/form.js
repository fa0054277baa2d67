// The keys of a recipe as inputs. What is changed is kept as the command line writes it.
const root = element.querySelector(".swath-form");
let shownRows = "";

function add(parent, name, text, kind) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  parent.append(node);
  return node;
}
const leaves = (rows) => rows.flatMap((row) => (row.rows ? leaves(row.rows) : [row]));

// As YAML, which an override is: texts in quotes, nothing as null.
function written(row, text) {
  if (text.trim() === "" && (row.optional || row.kind === "yaml")) return "null";
  return row.kind === "text" || row.kind === "choice" ? JSON.stringify(text) : text.trim();
}
function unwritten(row, text) {
  if (text === "null") return "";
  if (row.kind !== "text" && row.kind !== "choice") return text;
  try { return String(JSON.parse(text)); } catch { return text; }
}
function keep(row, text, line) {
  const changes = { ...props.value.changes };
  if (text === row.text) delete changes[row.key];
  else changes[row.key] = written(row, text);
  line.classList.toggle("changed", text !== row.text);
  props.value = { ...props.value, changes };
  trigger("input");
}
function input(row, line, text) {
  let node;
  if (row.kind === "switch" || row.kind === "choice") {
    node = add(line, "select");
    const options = row.kind === "switch" ? ["true", "false"] : row.options;
    for (const option of row.optional ? ["", ...options] : options) {
      const entry = add(node, "option", option || constants.words.nothing);
      entry.value = option;
    }
  } else {
    node = add(line, "input");
    node.type = "text";
    node.spellcheck = false;
    node.placeholder = row.optional ? constants.words.nothing : "";
  }
  node.value = text;
  node.dataset.key = row.key;
  node.setAttribute("aria-label", row.key);
  node.onchange = () => keep(row, node.value, line);
}
function field(row, parent, label) {
  const line = add(parent, "label", undefined, "field");
  const changed = props.value.changes[row.key];
  add(line, "code", label);
  input(row, line, changed === undefined ? row.text : unwritten(row, changed));
  add(line, "small", row.about);
  line.classList.toggle("changed", changed !== undefined);
}
function section(row, parent) {
  const box = add(parent, "details");
  add(box, "summary", row.label);
  if (row.about) add(box, "small", row.about);
  for (const inner of row.rows) if (inner.rows) section(inner, box); else if (!inner.main) field(inner, box, inner.label);
}
function show() {
  const value = props.value || { rows: [], changes: {} };
  const now = JSON.stringify([value.rows, value.changes]);
  if (!constants.words || now === shownRows) return;  // the words may come after the script
  shownRows = now;
  root.replaceChildren();
  for (const row of leaves(value.rows)) if (row.main) field(row, root, row.key);
  const rest = add(root, "details", undefined, "all");
  add(rest, "summary", constants.words.all);
  for (const row of value.rows) if (row.rows) section(row, rest); else if (!row.main) field(row, rest, row.label);
}
watch(["value", "words"], show);
show();
