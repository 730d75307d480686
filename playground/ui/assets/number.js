// A number box that keeps every typed digit, and a slider over the usual range. value: {text}
// Constants: label, info, low, high, step; low and high are null where no range is usual.
const [box, slider, typed] = ['.amount', '[type=range]', '.typed'].map((s) => element.querySelector(s));
element.querySelector('.name').textContent = label;
element.querySelector('.info').textContent = info;
typed.setAttribute('aria-label', label);
slider.setAttribute('aria-label', `${label}, slider`);
slider.hidden = low === null;
Object.assign(slider, { min: low ?? 0, max: high ?? 1, step });
let told = props.value?.text; // the last value that was sent or received

function follow(text) {
  const number = Number(text);
  if (low !== null && text.trim() && Number.isFinite(number)) slider.value = number;
  // Beyond the usual range the slider stands at its end; the number in the box counts.
  box.classList.toggle('beyond', low !== null && !(number >= low && number <= high));
}
function tell(text) {
  if (text === told) return;
  told = text;
  follow(text);
  props.value = { text };
  trigger('input', {});
}
slider.addEventListener('input', () => tell(typed.value = slider.value));
typed.addEventListener('input', () => tell(typed.value));
typed.addEventListener('keydown', (event) => {
  const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  const number = Number(typed.value);
  if (!by || !typed.value.trim() || !Number.isFinite(number)) return;
  event.preventDefault();
  const digits = Math.max(...[typed.value, String(step)].map((t) => t.split('.')[1]?.length ?? 0));
  tell(typed.value = (number + by * step).toFixed(digits));
});
function draw() {
  const text = props.value?.text ?? '';
  if (document.activeElement !== typed) typed.value = text;
  told = text;
  follow(text);
}
watch('value', draw);
draw();
