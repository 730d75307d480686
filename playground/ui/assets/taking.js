// The size of a model that is not on this machine, and the progress of its download.
// value: {kind: 'offer', id, words, bytes, ticket}, {kind: 'coming', id, words, share, ticket}, or null; the values of
// one event have one ticket. Events: take {id}, and leave, which cancels it.
const card = element.querySelector('.taking');
const [words, bar, take, leave] = ['.words', 'progress', '.take', '.leave'].map((s) => card.querySelector(s));
let taking = null; // the id whose button was pressed, until the server sends its progress
const LATE = 2000; // milliseconds within which the server has surely responded
let leaving = null; // the ticket of the download that a person cancels
let left = null; // that of the cancelled download: its event may send a last value after the response

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
