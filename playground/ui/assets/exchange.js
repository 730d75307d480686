// A column's recipe in the form of another program, the differences, and settings pasted or dropped here.
// Shown while the column's recipe is shown as text. See ui/exchange.py.
// Functions: take({recipe, format, model, prompt, …}), read({text}).
// Constants: lane, colour, formats: [{id, title, program, suffix, url, read}], first: the format shown at first
const $ = (selector) => element.querySelector(selector);
const [program, out, same, losses, box, rows, coming, said] =
  ['.program', '.out', '.same', '.losses', '.difference', 'tbody', '.in', '.told'].map($);
const home = element.closest('.lane');
const KEPT = 'playground-format';
const PATIENCE = 40; // times that a prompt is requested while it is read
let asked = null; // the last request as JSON
let flying = false;
let again = false;
let waited = 0;

program.append(...formats.map(({ id, title }) => new Option(title, id)));
const kept = playground.remember(KEPT);
program.value = formats.some(({ id }) => id === kept) ? kept : first;
$('.exchange').style.setProperty('--colour', colour);
const format = () => formats.find(({ id }) => id === program.value);

function question() {
  const setup = playground.setup();
  const { written } = home.dataset;
  if (!setup || !written || !home.classList.contains('writing')) return null;
  const { model, prompt, chat, split, seed, least, tokens, stop } = setup;
  const run = home.querySelector('.strip')?.dataset.run ?? '';
  return { recipe: written, format: program.value, model, prompt, chat, split, seed, least, tokens, stop, run, lane };
}

async function ask() {
  const what = question();
  if (!what) return;
  if (JSON.stringify(what) === asked && !waited) return;
  if (flying) { again = true; return; }
  flying = true;
  asked = JSON.stringify(what);
  element.setAttribute('aria-busy', 'true');
  const answer = (await server.take(what)) ?? { fault: 'The server did not answer.' };
  flying = false;
  if (again) { again = false; waited = 0; asked = null; return ask(); }
  draw(answer);
  if (answer.wait && waited < PATIENCE) {
    waited += 1;
    setTimeout(ask, 250);
    return;
  }
  waited = 0;
  element.removeAttribute('aria-busy');
}

const text = (name, content) => playground.part(name, {}, content);
function put(selector, content) {
  $(selector).textContent = content ?? '';
  $(selector).hidden = !content;
}

function draw({ fault, text: code = '', losses: list = [], there, another, sentence, rows: tokens = [], note, tie, changed }) {
  const { program: name, read, url } = format();
  out.textContent = fault ?? code;
  out.classList.toggle('bad', Boolean(fault));
  out.setAttribute('aria-label', `Settings for ${name}`);
  for (const button of element.querySelectorAll('.acts button')) button.disabled = Boolean(fault);
  program.title = `As read in ${read}\n${url}`;
  same.textContent = fault ? '' : another ? `${name} does otherwise: ${there}` : `${name} chooses by the same recipe.`;
  losses.replaceChildren(...list.map(({ told }) => text('li', told)));
  losses.hidden = !list.length;
  box.hidden = !sentence && !note;
  $('.sentence').textContent = sentence ?? note ?? '';
  box.querySelector('table').hidden = !tokens.length;
  $('th.there').textContent = name;
  const most = Math.max(...tokens.flatMap(({ here, there: theirs }) => [here, theirs]), 1e-9);
  rows.replaceChildren(...tokens.map(({ text: token, here, there: theirs, told }) => {
    const row = document.createElement('tr');
    const head = text('th', token);
    head.scope = 'row';
    const cell = document.createElement('td');
    cell.colSpan = 2;
    for (const [kind, share] of [['here', here], ['there', theirs]]) {
      const bar = document.createElement('i');
      bar.className = kind;
      bar.style.width = `${(100 * share) / most}%`;
      cell.append(bar);
    }
    cell.append(text('span', `${told} %`));
    row.append(head, cell);
    return row;
  }));
  put('.tie', tie);
  put('.changed', changed);
}

program.addEventListener('change', () => {
  playground.remember(KEPT, program.value);
  for (const other of document.querySelectorAll('.exchange .program'))
    if (other !== program && other.value !== program.value) {
      other.value = program.value;
      other.dispatchEvent(new Event('playground:chosen'));
    }
  ask();
});
program.addEventListener('playground:chosen', () => ask());
$('.copy-out').addEventListener('click', ({ target }) => playground.copy(out.textContent, target));
$('.save-out').addEventListener('click', () => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([`${out.textContent}\n`], { type: 'text/plain;charset=utf-8' }));
  link.download = `recipe${format().suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});

async function bring(what) {
  if (!what.trim()) return;
  said.textContent = 'Reading …';
  said.classList.remove('bad');
  const answer = (await server.read({ text: what })) ?? { fault: 'The server did not answer.' };
  said.classList.toggle('bad', Boolean(answer.fault));
  if (answer.fault) {
    said.textContent = answer.fault;
    return;
  }
  said.replaceChildren(answer.told, ...answer.left_out.map((sentence) => text('span', ` ${sentence}`)));
  coming.value = '';
  const column = playground.columnAt(lane);
  if (column) playground.turns.send(column.key, 'change_recipe', { act: 'rewrite', name: column.name, text: answer.recipe });
}
coming.addEventListener('paste', () => setTimeout(() => bring(coming.value)));
coming.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  bring(coming.value);
});
coming.addEventListener('playground:dropped', async ({ detail: file }) => bring(await file.slice(0, 200_000).text()));

const ears = [['playground:setup', ask], ['playground:ran', ask], ['playground:writing', ask]];
for (const [name, heard] of ears)
  document.addEventListener(name, function hear() {
    if (element.isConnected) heard();
    else document.removeEventListener(name, hear);
  });
