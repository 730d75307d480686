// Links to a run's files. value: {csv, json}, addresses relative to the page's.
const links = [...element.querySelectorAll('a')];
function draw() {
  for (const link of links) {
    link.hidden = !props.value;
    if (props.value) link.href = props.value[link.className];
  }
}
watch('value', draw);
draw();
