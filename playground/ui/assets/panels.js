// The recipe stage by stage: a panel for each step, with its threshold drawn over its input. See ui/panels.py.
// value: {sentence, colour, token: the chosen one, candidates: [[id, label], …], table,
//         panels: [{title, told, of, rows: [{candidate, given, left, value, shift}], lines: [{x, y, label, curve}]}]}
// A candidate is followed through all panels by the pointer and by the keys: up and down within a panel, left and
// right to the next. Event: point {data: [its id]}, by a click or Enter.
const [figure, sentence, home] = ['.panels', '.sentence', '.shelf'].map((s) => element.querySelector(s));
let at = null; // the candidate that is followed

const { part } = playground;
const shape = (name, given) => playground.shape(name, { ...given, 'vector-effect': 'non-scaling-stroke' });

function bar(kind, share) {
  const made = part('i', kind);
  made.style.width = `${100 * share}%`;
  return made;
}

function row({ candidate, given, left, value, shift }, first) {
  const { candidates, token } = props.value;
  const [id, text] = candidates[candidate];
  const label = part('span', 'label', text);
  const bars = part('span', 'bars', ...(first ? [] : [bar(left ? 'given' : 'given gone', given)]), bar('left', left));
  const values = part('span', 'values', value);
  if (shift) values.prepend(part('small', 'shift', `${shift} `));
  const made = part('div', 'line', label, bars, values);
  made.setAttribute('role', 'option');
  made.tabIndex = -1;
  made.dataset.candidate = candidate;
  made.classList.toggle('marked', id === token);
  made.classList.toggle('faint', !left);
  label.title = text;
  return made;
}

// The lines of a step, over the bars: one row is 1 high, the width is 1.
function cuts(lines, rows) {
  const drawn = playground.shape('svg', {
    class: 'cuts', viewBox: `0 0 1 ${rows}`, preserveAspectRatio: 'none', 'aria-hidden': 'true',
  });
  for (const { x, y, curve } of lines) {
    if (curve) {
      const points = curve.flatMap((share, i) => [`${i ? curve[i - 1] : 0},${i}`, `${share},${i}`, `${share},${i + 1}`]);
      drawn.append(shape('polyline', { points: points.join(' '), class: 'curve' }));
    }
    if (x !== undefined) drawn.append(shape('line', { x1: x, x2: x, y1: 0, y2: rows, class: 'cut' }));
    if (y !== undefined) drawn.append(shape('line', { x1: 0, x2: 1, y1: y, y2: y, class: 'cut' }));
  }
  return drawn;
}

function panel({ title, told, of, rows, lines: cut }, number) {
  const head = part('b', 'head', title);
  const list = part('div', 'list', ...rows.map((one) => row(one, !number)));
  lines(list).forEach((line, i) => { line.style.gridRow = i + 1; });
  list.setAttribute('role', 'listbox');
  list.setAttribute('aria-label', title);
  const made = part('section', `panel ${of}`, head, part('p', 'told', told), list);
  if (cut.length) {
    const marks = part('div', 'marks', ...cut.map(({ x, y, label }) => {
      const mark = part('span', 'mark', label);
      if (x !== undefined) mark.style.left = `${100 * x}%`;
      else [mark.style.right, mark.style.top] = ['0', `calc(${(100 * y) / rows.length}% - 1.3em)`];
      mark.classList.toggle('far', x > 0.7);
      return mark;
    }));
    const over = part('div', 'over', cuts(cut, rows.length), marks);
    over.setAttribute('aria-hidden', 'true');
    over.style.gridRow = `1 / ${rows.length + 1}`;
    list.append(over);
  }
  return made;
}

function draw() {
  const v = props.value;
  element.hidden = !v;
  if (!v) return;
  const within = home.contains(document.activeElement) ? place(document.activeElement) : null;
  sentence.textContent = v.sentence;
  figure.style.setProperty('--colour', v.colour);
  home.setAttribute('aria-label', v.sentence);
  home.replaceChildren(...v.panels.map(panel));
  at = null;
  rove(home.querySelector('.line.marked') ?? home.querySelector('.line'));
  if (within) find(...within)?.focus();
}

const lists = () => [...home.querySelectorAll('.list')];
const lines = (list) => [...list.querySelectorAll('.line')];
function place(line) {
  const list = line.closest('.list');
  return [lists().indexOf(list), lines(list).indexOf(line)];
}
const find = (panelAt, rowAt) => {
  const list = lists()[panelAt];
  return list && (lines(list)[rowAt] ?? lines(list).at(-1));
};

function rove(to, focus) {
  for (const line of home.querySelectorAll('.line[tabindex="0"]')) line.tabIndex = -1;
  if (!to) return;
  to.tabIndex = 0;
  if (focus) to.focus();
}
function follow(candidate) {
  if (candidate === at) return;
  at = candidate;
  for (const line of home.querySelectorAll('.line')) line.classList.toggle('followed', line.dataset.candidate === at);
}
function point(line) {
  if (!line) return;
  for (const one of home.querySelectorAll('.line')) {
    const same = one.dataset.candidate === line.dataset.candidate;
    one.classList.toggle('taken', same);
    one.setAttribute('aria-selected', String(same));
  }
  rove(line, true);
  trigger('point', { data: [props.value.candidates[line.dataset.candidate][0]] });
}

home.addEventListener('pointerover', ({ target }) => follow(target.closest('.line')?.dataset.candidate ?? null));
home.addEventListener('pointerleave', () => follow(null));
home.addEventListener('focusin', ({ target }) => follow(target.dataset.candidate ?? null));
home.addEventListener('focusout', () => follow(null));
home.addEventListener('click', ({ target }) => point(target.closest('.line')));
home.addEventListener('keydown', (event) => {
  const line = event.target.closest('.line');
  if (!line) return;
  if (event.key === 'Enter' || event.key === ' ') point(line);
  else {
    const [panelAt, rowAt] = place(line);
    const beside = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const list = beside ? lists()[panelAt + beside] : lists()[panelAt];
    const to = beside
      ? list && (lines(list).find((one) => one.dataset.candidate === line.dataset.candidate) ?? find(panelAt + beside, rowAt))
      : find(panelAt, { ArrowDown: rowAt + 1, ArrowUp: Math.max(0, rowAt - 1), Home: 0, End: Infinity }[event.key] ?? rowAt);
    if (!/^(Arrow|Home|End)/.test(event.key)) return;
    if (to) rove(to, true);
  }
  event.preventDefault();
});
playground.save(figure, () => props.value.table);
watch('value', draw);
draw();
