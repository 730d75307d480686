// A chart of rows that can be pointed at: each has a label, bars, and their values; see ui/rows.py.
// value: {layout, sentence, colour, rows: [{label, bars: [[share, kind], …], values, marked, of, faint, gap, life, tell}],
//         notes: [{text, first, last, reach}]; text enters the page by textContent alone.
//         table: what is saved of it, {name, columns, rows},
//         fork: {run, lane, output, step, recipe}, where the text may be continued from a row's candidate; or null}
// Events: point {data: the clicked row's `tell`}; go {...fork, token}, by the row's own button, in its turn.
const [figure, sentence, chart, life] = ['.plot', '.sentence', '.rows', '.life'].map((s) => element.querySelector(s));

// Made once and changed in place, so that only bars move.
function made() {
  const row = document.createElement('div');
  row.className = 'line';
  for (const part of ['label', 'bars', 'values']) {
    const child = document.createElement('span');
    child.className = part;
    row.append(child);
  }
  return row;
}

// A button at the end of a row, which continues the text from its candidate. One of them is reached by Tab, the
// others from it by the arrow keys.
function onward(row, token, label) {
  let button = row.querySelector('button');
  if (token === undefined) return button?.remove();
  if (!button) {
    button = Object.assign(document.createElement('button'), { type: 'button', className: 'go', textContent: '↳', tabIndex: -1 });
    button.dataset.unsaved = '';
    row.append(button);
  }
  button.title = `Continue from ${label.trim() || 'this candidate'}, under the column’s own recipe`;
  button.setAttribute('aria-label', button.title);
}
function rove(to, focus = true) {
  for (const button of chart.querySelectorAll('button.go')) button.tabIndex = button === to ? 0 : -1;
  if (focus) to?.focus();
}

function fill(bars, shares) {
  while (bars.children.length > shares.length) bars.lastChild.remove();
  while (bars.children.length < shares.length) bars.append(document.createElement('i'));
  shares.forEach(([share, kind], i) => {
    bars.children[i].className = kind;
    bars.children[i].style.width = `${100 * share}%`;
  });
}

function draw() {
  const v = props.value;
  element.hidden = !v;
  life.hidden = true;
  if (!v) return;
  sentence.textContent = v.sentence;
  chart.className = `rows ${v.layout}`;
  chart.style.setProperty('--colour', v.colour);
  chart.setAttribute('aria-label', v.sentence);
  chart.setAttribute('role', v.fork ? 'group' : 'img');
  chart.classList.toggle('forks', Boolean(v.fork));
  const focused = chart.contains(document.activeElement);
  for (const note of chart.querySelectorAll('.removal')) note.remove();
  while (chart.children.length > v.rows.length) chart.lastChild.remove();
  while (chart.children.length < v.rows.length) chart.append(made());
  v.rows.forEach((row, i) => {
    const home = chart.children[i];
    const [label, bars, values] = home.children;
    home.className = `line ${row.of ?? ''}`;
    home.classList.toggle('marked', Boolean(row.marked));
    home.classList.toggle('faint', Boolean(row.faint));
    home.classList.toggle('told', Boolean(row.tell));
    home.style.gridRow = i + 1;
    home.style.setProperty('--gap', row.gap ?? 0);
    label.textContent = row.label;
    values.textContent = row.values;
    fill(bars, row.bars);
    onward(home, v.fork ? row.tell?.[0] : undefined, row.label);
  });
  rove(chart.querySelector('.marked button.go') ?? chart.querySelector('button.go'), focused);
  for (const { text, first, last, reach } of v.notes) {
    const note = document.createElement('span');
    note.className = reach === null ? 'removal under' : 'removal';
    note.style.gridRow = reach === null ? `${first + 1}` : `${first + 1} / ${last + 2}`;
    note.style.setProperty('--reach', reach ?? 0);
    note.textContent = text;
    chart.append(note);
  }
}

function point(event) {
  const row = event.target.closest('.line');
  const told = row && props.value?.rows[[...chart.children].indexOf(row)]?.life;
  life.hidden = !told;
  if (!told) return;
  const [first, ...rest] = told;
  const name = document.createElement('b');
  name.textContent = first;
  life.replaceChildren(name, ...rest.flatMap((line) => [document.createElement('br'), line]));
  const box = chart.parentElement.getBoundingClientRect();
  const at = row.getBoundingClientRect();
  life.style.left = `${Math.max(0, Math.min(event.clientX - box.left + 16, box.width - life.offsetWidth))}px`;
  // Below the row, or above it near the end of the window or of the scrolled area.
  const frame = element.closest('.tabitem')?.getBoundingClientRect().bottom ?? innerHeight;
  const fits = at.bottom + 4 + life.offsetHeight < Math.min(frame, innerHeight);
  life.style.top = `${(fits ? at.bottom + 4 : at.top - 4 - life.offsetHeight) - box.top}px`;
}
chart.addEventListener('pointermove', point);
chart.addEventListener('pointerdown', point);
chart.addEventListener('pointerleave', () => { life.hidden = true; });
chart.addEventListener('click', (event) => {
  const row = event.target.closest('.line');
  const tell = row && props.value.rows[[...chart.children].indexOf(row)]?.tell;
  if (!tell) return;
  if (!event.target.closest('button.go')) return trigger('point', { data: tell });
  const asked = { ...props.value.fork, token: tell[0] };
  playground.turns.take(() => {
    trigger('go', asked);
    return true;
  });
});
chart.addEventListener('keydown', (event) => {
  const buttons = [...chart.querySelectorAll('button.go')];
  const at = buttons.indexOf(event.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  if (buttons[to]) rove(buttons[to]);
});
playground.save(figure, () => props.value.table);
watch('value', draw);
draw();
