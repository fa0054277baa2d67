const root = element.querySelector(".swath-head");
const add = (name, text) => {
  const node = document.createElement(name);
  node.textContent = text;
  return root.appendChild(node);
};
add("h1", constants.title);
add("p", constants.about);
const link = add("a", constants.other);
link.href = constants.link;
link.id = "language";
