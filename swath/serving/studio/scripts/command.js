const root = element.querySelector(".swath-command");
const label = document.createElement("span"), code = document.createElement("code");
label.textContent = constants.title;
root.append(label, code);
const show = () => {
  code.textContent = props.value || "";
  root.hidden = !props.value;
};
watch("value", show);
show();
