// Which token the charts are about. value: {letter, colour, ink, title, facts, mark}; text by textContent alone.
// Each change of the selection is sent to the columns: document event 'playground:mark' {run, lane, output, step}.
// While a run goes on, the charts are of the one before; the caption says so from the event 'playground:shown' on.
const [box, letter, title, old, facts] = ['.caption', '.letter', '.title', '.old', '.facts'].map((s) =>
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
// It keeps the height that it once needed at this width: the tabs below stay where they are from token to token.
const MOST = 90; // pixels that are kept of it: a token may be very long
let wide = 0;
const keep = (height) => { if (height) box.style.minHeight = `${Math.min(height, MOST)}px`; };
new ResizeObserver(([{ contentRect: { width, height } }]) => {
  if (width === wide) return keep(height);
  wide = width;
  box.style.minHeight = '';
  requestAnimationFrame(() => keep(box.offsetHeight));
}).observe(box);
watch('value', draw);
draw();
