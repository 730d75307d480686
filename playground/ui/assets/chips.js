// The prompt's tokens, each with its id.
// value: {tokens: [[text, id, control, log-probability or null], …], note, more, count, fault: why there are none}
const [row, note, count] = ['.chips', '.note', '.count'].map((s) => element.querySelector(s));
const visible = (text) => text.replaceAll(' ', '·').replaceAll('\n', '⏎').replaceAll('\t', '⇥') || '∅';
const { percent } = playground;
function draw() {
  const v = props.value || { tokens: [], note: '', count: '' };
  row.replaceChildren(...v.tokens.map(([text, id, control, logprob]) => {
    const chip = document.createElement('span');
    const number = document.createElement('small');
    chip.className = 'chip';
    chip.classList.toggle('control', Boolean(control));
    if (control) chip.title = 'a control token';
    if (typeof logprob === 'number') {
      chip.classList.add('scored');
      chip.style.setProperty('--surprise', Math.max(0, Math.min(1, -logprob / 6)).toFixed(3));
      chip.title = `model ${percent(Math.exp(logprob))} · log-probability ${logprob.toFixed(2)}`;
    }
    chip.textContent = visible(text);
    number.textContent = id;
    chip.append(' ', number);
    return chip;
  }));
  if (v.more) {
    const rest = document.createElement('span');
    rest.className = 'rest';
    rest.textContent = v.more;
    row.append(rest);
  }
  note.textContent = v.fault || v.note || '';
  note.classList.toggle('bad', Boolean(v.fault));
  element.closest('.prompt').classList.toggle('controlled', Boolean(v.note));
  count.textContent = v.count;
}
watch('value', draw);
draw();
