// Links to a run's files. value: {html, csv, json}, addresses relative to the page's.
const links = [...element.querySelectorAll('a')];
function draw() {
  for (const link of links) {
    link.hidden = !props.value?.[link.className];
    if (!link.hidden) link.href = props.value[link.className];
  }
}
watch('value', draw);
draw();
