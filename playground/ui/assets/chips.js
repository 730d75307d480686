// The prompt as the model reads it: every token with its id.
// value: {tokens: [[text, id], …], more, count}
const [row, count] = [element.querySelector('.chips'), element.querySelector('.count')];
const visible = (text) => text.replaceAll(' ', '·').replaceAll('\n', '⏎').replaceAll('\t', '⇥') || '∅';
function draw() {
  const v = props.value || { tokens: [], count: '' };
  row.replaceChildren(...v.tokens.map(([text, id]) => {
    const chip = document.createElement('span');
    const number = document.createElement('small');
    chip.className = 'chip';
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
  count.textContent = v.count;
}
watch('value', draw);
draw();
