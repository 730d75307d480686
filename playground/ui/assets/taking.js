// What a model would take, and how far it is. value: {kind: 'offer', id, words, bytes, ticket},
// {kind: 'coming', id, words, share, ticket}, or null; the values of one event have one ticket.
// Events: take {id}, and leave, which gives it up.
const card = element.querySelector('.taking');
const [words, bar, take, leave] = ['.words', 'progress', '.take', '.leave'].map((s) => card.querySelector(s));
let taking = null; // the id whose button was pressed, until the server says more of it
const LATE = 2000; // milliseconds in which the server has surely answered
let leaving = null; // the ticket of what a person leaves
let left = null; // that of what was left: its event may send a last value after the answer

function draw() {
  if (!props.value) left = leaving;
  const v = props.value?.ticket === left ? null : props.value;
  card.hidden = !v;
  const coming = v?.kind === 'coming';
  if (v && coming) taking = null;
  // Figures that change four times a second are not read out each time.
  words.setAttribute('aria-live', coming ? 'off' : 'polite');
  words.textContent = v?.words ?? '';
  bar.hidden = !coming;
  if (v?.share == null) bar.removeAttribute('value');
  else bar.value = v.share;
  take.hidden = !v || coming;
  take.textContent = `Download ${v?.bytes ?? ''} and load it`;
  take.disabled = taking !== null && taking === v?.id;
  leave.disabled = Boolean(v) && v.ticket === leaving;
  leave.textContent = coming ? 'Cancel' : 'Not now';
}
take.addEventListener('click', () => {
  taking = props.value.id;
  take.disabled = true;
  trigger('take', { id: taking });
});
leave.addEventListener('click', () => {
  taking = null;
  const ticket = leaving = props.value.ticket;
  leave.disabled = true;
  trigger('leave', {});
  setTimeout(() => { left = ticket; draw(); }, LATE); // where both came as one change
});
watch('value', draw);
draw();
