const line = element.querySelector(".swath-notice");
line.setAttribute("role", "alert");
const show = () => { line.textContent = props.value || ""; };
watch("value", show);
show();
