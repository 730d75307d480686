// Rows with a note each, found by what is typed and walked by the arrow keys; see ui/listing.py.
// value: {sentence, colour, find: the label of the search box or '', none: the sentence where nothing is found,
//         rows: [{label, find, bars: [[share, kind], …], values, note, marked, faint, tell}],
//         table: what is saved of it, {name, columns, rows}}
// Event: point {data: the row's `tell`}, by a click or Enter. Text enters the page by textContent alone.
const [figure, sentence, find, list, none] = ['.listing', '.sentence', '.find', '.list', '.none'].map((s) =>
  element.querySelector(s));
let taken = null; // the row whose `tell` was sent last

function made() {
  const row = document.createElement('div');
  for (const part of ['label', 'bars', 'values', 'note']) {
    const child = document.createElement('span');
    child.className = part;
    row.append(child);
  }
  return row;
}

function draw() {
  const v = props.value;
  element.hidden = !v;
  if (!v) return;
  sentence.textContent = v.sentence;
  figure.style.setProperty('--colour', v.colour);
  find.hidden = !v.find;
  find.placeholder = v.find;
  find.setAttribute('aria-label', v.find || 'Find');
  list.classList.toggle('plain', !v.rows.some(({ bars }) => bars.length));
  const chosen = v.rows.some(({ tell }) => tell);
  if (v.rows.length) list.setAttribute('role', chosen ? 'listbox' : 'list');
  else list.removeAttribute('role');
  if (v.rows.length) list.setAttribute('aria-label', v.find ? 'Candidates' : v.sentence);
  else list.removeAttribute('aria-label');
  while (list.children.length > v.rows.length) list.lastChild.remove();
  while (list.children.length < v.rows.length) list.append(made());
  v.rows.forEach((row, i) => {
    const home = list.children[i];
    const [label, bars, values, note] = home.children;
    home.className = 'line';
    for (const kind of ['marked', 'faint']) home.classList.toggle(kind, Boolean(row[kind]));
    home.classList.toggle('told', Boolean(row.tell));
    home.setAttribute('role', chosen ? 'option' : 'listitem');
    [label.textContent, values.textContent, note.textContent] = [row.label, row.values, row.note];
    label.title = row.label;
    bars.replaceChildren(...row.bars.map(([share, kind]) => {
      const bar = document.createElement('i');
      bar.className = kind;
      bar.style.width = `${100 * share}%`;
      return bar;
    }));
  });
  take(null);
  narrow();
}

const rows = () => [...list.children].filter((row) => !row.hidden && row.classList.contains('told'));
// One row can be reached by Tab, the others from it.
function rove(to, focus) {
  for (const row of list.children)
    if (row.classList.contains('told')) row.tabIndex = -1;
    else row.removeAttribute('tabindex');
  if (!to) return;
  to.tabIndex = 0;
  if (focus) to.focus();
}
function narrow() {
  const typed = find.hidden ? '' : find.value.trim().toLowerCase();
  props.value.rows.forEach((row, i) => {
    list.children[i].hidden = Boolean(typed) && !(row.find ?? row.label).toLowerCase().includes(typed);
  });
  const shown = [...list.children].some((row) => !row.hidden);
  none.hidden = shown || !typed;
  none.textContent = props.value.none;
  rove(rows().find((row) => row.classList.contains('marked')) ?? rows()[0]);
}
function take(row) {
  taken = row;
  for (const one of list.children) {
    one.classList.toggle('taken', one === taken);
    if (one.getAttribute('role') === 'option') one.setAttribute('aria-selected', String(one === taken));
    else one.removeAttribute('aria-selected');
  }
}
function point(row) {
  const tell = row && props.value.rows[[...list.children].indexOf(row)]?.tell;
  if (!tell) return;
  rove(row, true);
  take(row);
  trigger('point', { data: tell });
}
find.addEventListener('input', narrow);
find.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && find.value) {
    find.value = '';
    narrow();
  } else if (event.key === 'ArrowDown') rows()[0]?.focus();
  else if (event.key === 'Enter') point(rows()[0]);
  else return;
  event.preventDefault();
});
list.addEventListener('click', (event) => point(event.target.closest('.line')));
list.addEventListener('keydown', (event) => {
  const near = rows();
  const at = near.indexOf(event.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: near.length - 1 }[event.key];
  if (event.key === 'Enter' || event.key === ' ') point(event.target);
  else if (event.key === 'ArrowUp' && at === 0 && !find.hidden) find.focus();
  else if (to !== undefined && near[to]) rove(near[to], true);
  else return;
  event.preventDefault();
});
find.dataset.unsaved = '';
playground.save(figure, () => props.value.table);
watch('value', draw);
draw();
