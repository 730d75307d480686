// Which token the charts are about. value: {letter, colour, ink, title, facts, mark}; text by textContent alone.
// Whoever moves the selection, the columns hear of it: document event 'playground:mark' {run, lane, output, step}.
const [letter, title, facts] = ['.letter', '.title', '.facts'].map((s) => element.querySelector(s));
function draw() {
  const value = props.value;
  element.hidden = !value;
  if (!value) return;
  letter.hidden = !value.letter;
  letter.textContent = value.letter;
  letter.style.background = value.colour;
  letter.style.color = value.ink;
  title.textContent = value.title;
  facts.textContent = value.facts;
  if (value.mark) document.dispatchEvent(new CustomEvent('playground:mark', { detail: value.mark }));
}
watch('value', draw);
draw();
