const root = element.querySelector(".swath-head");
const add = (name, text) => {
  const node = document.createElement(name);
  node.textContent = text;
  return root.appendChild(node);
};
add("h1", given.title);
add("p", given.about);
const link = add("a", given.other);
link.href = given.link;
link.id = "language";
