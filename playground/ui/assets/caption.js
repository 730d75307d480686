// Which token the charts are about. value: {letter, colour, ink, title, facts, mark}; text by textContent alone.
// Each change of the selection is sent to the columns: document event 'playground:mark' {run, lane, output, step}.
// While a run goes on, the charts are of the one before; the caption says so from the event 'playground:shown' on.
const [letter, title, old, facts] = ['.letter', '.title', '.old', '.facts'].map((s) =>
  element.querySelector(s));
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
  age();
  if (value.mark) document.dispatchEvent(new CustomEvent('playground:mark', { detail: value.mark }));
}
function age() {
  if (!element.isConnected) return document.removeEventListener('playground:shown', age);
  const { run } = document.querySelector('.strip')?.dataset ?? {};
  old.hidden = !props.value?.mark || !run || props.value.mark.run === run;
  element.closest('#inspector')?.classList.toggle('old', !old.hidden);
}
document.addEventListener('playground:shown', age);
watch('value', draw);
draw();
