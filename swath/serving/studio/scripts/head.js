"use strict";
const root = element.querySelector(".swath-head");
const add = (name, text) => {
  const node = document.createElement(name);
  node.textContent = text;
  return root.appendChild(node);
};
add("h1", props.title);
add("p", props.about);
const link = add("a", props.other);
link.href = props.link;
link.id = "language";
