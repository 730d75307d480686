// One sentence about what went wrong, beside what caused it. It may quote a person or a model.
const line = element.querySelector('.message');
function draw() {
  line.hidden = !props.value;
  line.textContent = props.value ?? '';
}
watch('value', draw);
draw();
