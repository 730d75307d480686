// The tokens of a run as a table, of which the rows in sight alone are elements; see ui/data_table.py.
// value: {run, samples, key, columns: [name, …], total, first, rows: [[value, …], …] from that row on, selected: the row
//         of the selected token, marked: [its column, sample and position]}
// Function: rows({run, samples, by, falling, first}), a block of rows in the order of a column.
const [fault, field, widths, head, body] = ['.fault', '.field', 'colgroup', 'thead tr', 'tbody'].map((s) =>
  element.querySelector(s));
const OVER = 8; // rows above and below those in sight
const WIDE = { token: 18, name: 18 }; // in letters; all others are numbers, or letters of columns
const MARKS = ['column', 'sample', 'position'];
const { part } = playground;
let known = null; // the key of the rows that are here
let rows = []; // by their place in the order; empty where they were not sent yet
let by = '';
let falling = false;
let asking = false;
let spaces = []; // what stands for the rows above and below
let height = 0; // of a row

function draw() {
  const v = props.value;
  element.hidden = !v;
  if (!v) return;
  const key = JSON.stringify(v.key);
  if (key !== known) {
    if (JSON.parse(known ?? '[]')[0] !== v.run || !v.columns.includes(by)) by = '';
    [known, rows] = [key, []];
    headed(v.columns, v.rows[0] ?? []);
  }
  if (!by) v.rows.forEach((row, i) => { rows[v.first + i] = row; });
  render(); // so that there is something to scroll
  if (!by) show(v.selected);
}

function headed(columns, row) {
  const letters = (name) => Math.max(WIDE[name] ?? 0, name.length, 6);
  widths.replaceChildren(...columns.map((name) => {
    const column = part('col');
    column.style.width = `calc(${letters(name) + 2}ch + 18px)`;
    return column;
  }));
  head.replaceChildren(...columns.map((name, n) => {
    const sorts = part('button', { type: 'button', textContent: name });
    sorts.addEventListener('click', () => sort(name));
    const cell = part('th', typeof row[n] === 'number' ? 'number' : '', sorts);
    cell.scope = 'col';
    cell.dataset.name = name;
    return cell;
  }));
  spaces = ['above', 'below'].map((place) => {
    const cell = part('td');
    cell.colSpan = columns.length;
    const space = part('tr', `space ${place}`, cell);
    space.setAttribute('aria-hidden', 'true');
    return space;
  });
  body.replaceChildren(...spaces);
  told();
}

// Rising, falling, and then again as the texts have them.
function sort(name) {
  [by, falling] = by !== name ? [name, false] : falling ? ['', false] : [name, true];
  rows = [];
  told();
  field.scrollTop = 0;
  if (by) render();
  else draw();
}
function told() {
  for (const cell of head.children) {
    if (cell.dataset.name === by) cell.setAttribute('aria-sort', falling ? 'descending' : 'ascending');
    else cell.removeAttribute('aria-sort');
  }
}

function render() {
  const { columns, total, marked } = props.value;
  const room = parseFloat(getComputedStyle(field).maxHeight);
  const step = height || 27;
  const first = Math.max(0, Math.min(Math.floor(field.scrollTop / step), total) - OVER);
  const last = Math.min(total, first + Math.ceil(room / step) + 2 * OVER);
  const lines = [...body.children].slice(1, -1);
  while (lines.length > last - first) lines.pop().remove();
  while (lines.length < last - first) {
    const line = part('tr', {}, ...columns.map(() => part('td')));
    lines.push(line);
    spaces[1].before(line);
  }
  const at = MARKS.map((name) => columns.indexOf(name));
  lines.forEach((line, i) => {
    const row = rows[first + i];
    line.ariaRowIndex = first + i + 2; // the head is the first
    line.classList.toggle('marked', Boolean(row) && at.every((place, n) => row[place] === marked[n]));
    columns.forEach((name, n) => {
      const cell = line.children[n];
      cell.classList.toggle('number', typeof row?.[n] === 'number');
      const text = String(row ? row[n] ?? '' : n ? '' : '…');
      if (cell.textContent !== text) cell.textContent = text;
    });
  });
  const now = lines[0]?.offsetHeight || 0;
  const again = now && now !== height;
  if (now) height = now;
  spaces.forEach((space, i) => { space.style.height = `${(i ? total - last : first) * (height || step)}px`; });
  element.querySelector('table').ariaRowCount = total + 1;
  if (again) return render(); // a row is as high as its letters are large
  ask(first, last);
}

// One request at a time, for the block that begins with the first row that is missing in sight.
async function ask(first, last) {
  let missing = first;
  while (missing < last && rows[missing]) missing += 1;
  if (missing === last || asking || !server.rows) return;
  asking = true;
  const { run, samples } = props.value;
  const asked = JSON.stringify([known, by, falling]);
  const found = (await server.rows({ run, samples, by, falling, first: missing }).catch(() => null))
    ?? { fault: 'The server did not answer.' };
  asking = false;
  if (!props.value) return;
  const same = asked === JSON.stringify([known, by, falling]);
  fault.hidden = !found.fault;
  fault.textContent = found.fault ?? '';
  if (same && !found.rows?.length) return; // there are none, or the fault says why
  if (same) found.rows.forEach((row, i) => { rows[missing + i] = row; });
  render();
}

// Bring a row into sight, where it is not: the panel may end above the table's own end.
function show(row) {
  const panel = element.closest('.tabitem')?.getBoundingClientRect().bottom ?? innerHeight;
  const box = field.getBoundingClientRect();
  const room = Math.min(field.clientHeight, panel - box.top) - head.offsetHeight;
  const top = row * height;
  if (!height || (top >= field.scrollTop && top + height <= field.scrollTop + room)) return;
  field.scrollTop = top - 2 * height;
  render();
}

field.addEventListener('scroll', () => { if (props.value) render(); }, { passive: true });
watch('value', draw);
draw();
