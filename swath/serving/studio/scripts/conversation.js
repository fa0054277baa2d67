// Turns of a conversation, each as text; a click on one tells its number.
const root = element.querySelector(".swath-conversation");
function add(parent, name, text, kind) {
  const node = document.createElement(name);
  node.textContent = text;
  if (kind) node.className = kind;
  parent.append(node);
  return node;
}
function show() {
  root.replaceChildren();
  (props.value || []).forEach((row, number) => {
    const turn = add(root, "button", "", row.who);
    turn.type = "button";
    add(turn, "p", row.text);
    for (const note of row.notes || []) add(turn, "small", note);
    turn.onclick = () => trigger("select", { number });
  });
  const talk = (props.value || []).some((row) => row.who === "you");
  root.scrollTop = talk ? root.scrollHeight : 0;   // the newest turn, or the first of a list
}
watch("value", show);
show();
