"use strict";
const root = element.querySelector(".swath-command");
const label = document.createElement("span"), code = document.createElement("code");
root.append(label, code);
const show = () => {
  label.textContent = props.title;
  code.textContent = props.value || "";
  root.hidden = !props.value;
};
watch("value", show);
show();
