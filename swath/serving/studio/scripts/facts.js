// A table of labels and texts.
const root = element.querySelector(".swath-facts");
function show() {
  root.replaceChildren();
  for (const [label, text] of props.value || []) {
    const row = document.createElement("div");
    for (const [name, words] of [["span", label], ["p", text]]) {
      const node = document.createElement(name);
      node.textContent = words;
      row.append(node);
    }
    root.append(row);
  }
}
watch("value", show);
show();
