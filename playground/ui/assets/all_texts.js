// All texts of a column: a list with their figures, the mean of each column, and the tokens at one position.
// value: {run, lane, output, place, letter, colour}. Function: samples({run, lane, place, whole}). A click on a text shows it
// in its column, by the document event 'playground:turn' {run, lane, output}. See ui/all_texts.py.
const $ = (selector) => element.querySelector(selector);
const [box, sentence, means, each, figure, slider] =
  ['.all-texts', '.sentence', '.means', '.each', '.histogram', '.place'].map($);
let known = null; // the texts that are drawn: {run, lane}
let place = 0;
let shown = null; // the response that is drawn
let flying = false;
let again = false;

const cell = (name, content, className = '') => playground.part(name, className, content);
function heads(...names) {
  const row = document.createElement('tr');
  row.append(...names.map((name) => Object.assign(cell('th', name), { scope: 'col' })));
  return row;
}
function badge(letter, colour) {
  const made = Object.assign(cell('th', ''), { scope: 'row' });
  const mark = cell('i', letter);
  mark.style.setProperty('--colour', colour);
  made.append(mark);
  return made;
}

async function ask() {
  const v = props.value;
  if (!v) return;
  if (flying) { again = true; return; }
  flying = true;
  const key = JSON.stringify([v.run, v.lane]);
  const asked = { run: v.run, lane: v.lane, place, whole: known !== key };
  const answer = await server.samples(asked).catch(() => null);
  flying = false;
  if (again) { again = false; return ask(); }
  if (!answer || answer.fault) {
    sentence.textContent = answer?.fault ?? 'The server did not answer.';
    return;
  }
  if (asked.whole) draw(shown = answer);
  known = key;
  histogram(answer);
  mark();
}

function draw({ sentence: told, texts, means: columns, names, found }) {
  sentence.textContent = told;
  means.tHead.replaceChildren(heads('column', 'texts', ...names.map((name) => `${name}, mean`)));
  means.tBodies[0].replaceChildren(...columns.map(({ letter, colour, count, figures }) => {
    const row = document.createElement('tr');
    row.append(badge(letter, colour), cell('td', count), ...figures.map((figure) => cell('td', figure)));
    return row;
  }));
  each.tHead.replaceChildren(heads('text', '', 'ended by', ...names, ...found));
  each.tBodies[0].replaceChildren(...texts.map(({ output, number, text, reason, figures }) => {
    const row = document.createElement('tr');
    row.dataset.output = output;
    const show = Object.assign(cell('button', String(number)), { type: 'button', title: 'Show this text in its column' });
    show.setAttribute('aria-label', `Show text ${number} in its column`);
    const first = Object.assign(cell('th', ''), { scope: 'row' });
    first.append(show);
    row.append(first, cell('td', text, 'what'), cell('td', reason), ...figures.map((value) => cell('td', value)));
    row.addEventListener('click', () => {
      const { run, lane } = props.value;
      document.dispatchEvent(new CustomEvent('playground:turn', { detail: { run, lane, output } }));
    });
    return row;
  }));
}

function histogram({ histogram: { sentence: told, rows }, last }) {
  figure.querySelector('figcaption').textContent = told;
  slider.max = Math.max(1, last + 1);
  slider.value = place + 1;
  slider.disabled = last < 1;
  const most = Math.max(...rows.map(({ share }) => share), 1e-9);
  figure.querySelector('tbody').replaceChildren(...rows.map(({ text, share, told: values, ended }) => {
    const row = document.createElement('tr');
    const bar = document.createElement('i');
    bar.style.width = `${(100 * share) / most}%`;
    bar.className = ended ? 'ended' : '';
    const bars = cell('td', '', 'bar');
    bars.append(bar);
    row.append(Object.assign(cell('th', text), { scope: 'row' }), bars, cell('td', values, 'values'));
    return row;
  }));
}

function mark() {
  for (const row of each.tBodies[0].rows)
    row.toggleAttribute('data-shown', Number(row.dataset.output) === (props.value?.output ?? 0));
}

slider.addEventListener('input', () => {
  place = Number(slider.value) - 1;
  ask();
});
function look() {
  const v = props.value;
  element.hidden = !v;
  if (!v) return;
  box.style.setProperty('--colour', v.colour);
  if (known === JSON.stringify([v.run, v.lane]) && place === v.place) return mark();
  place = v.place;
  ask();
}
playground.save(box, () => shown && {
  name: `texts-${props.value.letter}`,
  columns: ['number', 'text', 'ended by', ...shown.names, ...shown.found],
  rows: shown.texts.map(({ number, text, reason, figures }) => [number, text, reason, ...figures]),
});
watch('value', look);
look();
