// Offers to continue the text from a candidate. value: {run, lane, output, step, token, words, colour,
// recipes: [{written, label}]}, or null. Event: go {run, lane, output, step, token, recipe}, in its turn.
const [words, select, button] = ['.words', 'select', 'button'].map((s) => element.querySelector(s));
function draw() {
  const v = props.value;
  element.hidden = !v;
  if (!v) return;
  words.textContent = v.words;
  select.replaceChildren(...v.recipes.map(({ written, label }) => new Option(label, written)));
}
button.addEventListener('click', () => {
  const { run, lane, output, step, token } = props.value;
  const asked = { run, lane, output, step, token, recipe: select.value };
  playground.turns.take(() => {
    trigger('go', asked);
    return true;
  });
});
watch('value', draw);
draw();
