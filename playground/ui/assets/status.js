// One line about the run on the page. value: {kind, text}
const line = element.querySelector('.status');
function draw() {
  line.textContent = props.value?.text ?? '';
  line.dataset.kind = props.value?.kind ?? '';
}
watch('value', draw);
draw();
