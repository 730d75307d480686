// The number of the token that the charts are about, from 1. value: {token, most}; null without a text.
// Event: input, with the new value. A number that no token has is marked as wrong, and not sent.
const [box, typed, slider, most, message] = ['.at', '.typed', '[type=range]', '.most', '.refusal'].map((s) =>
  element.querySelector(s));

function say(words) {
  message.textContent = words;
  message.hidden = !words;
}
function tell(token) {
  say('');
  slider.value = token;
  if (document.activeElement !== typed) typed.value = token;
  if (token === props.value.token) return;
  props.value = { ...props.value, token };
  trigger('input', {});
}
slider.addEventListener('input', () => tell(Number(slider.value)));
typed.addEventListener('input', () => {
  const text = typed.value.trim();
  const { most: last } = props.value;
  if (/^\d{1,9}$/.test(text) && Number(text) >= 1 && Number(text) <= last) tell(Number(text));
  else say(text ? `No token ${text}: they count from 1 to ${last}.` : '');
});
typed.addEventListener('keydown', (event) => {
  const to = props.value.token + ({ ArrowUp: 1, ArrowDown: -1 }[event.key] ?? 0);
  if (to === props.value.token) return;
  event.preventDefault();
  if (to < 1 || to > props.value.most) return;
  typed.value = to;
  tell(to);
});
function draw() {
  const { token = 1, most: last = 0 } = props.value ?? {};
  box.hidden = !props.value;
  most.textContent = last;
  slider.max = Math.max(2, last);
  slider.value = token;
  slider.disabled = typed.disabled = last < 2;
  if (document.activeElement === typed && Number(typed.value) === token) return;
  typed.value = token;
  say('');
}
watch('value', draw);
draw();
