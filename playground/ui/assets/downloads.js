// Where a run can be had as a file. value: {csv, json}, addresses beside the page's own.
const links = [...element.querySelectorAll('a')];
function draw() {
  for (const link of links) {
    link.hidden = !props.value;
    if (props.value) link.href = props.value[link.className];
  }
}
watch('value', draw);
draw();
