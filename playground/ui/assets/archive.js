// A visitor's runs and experiments, kept on the server under a key that this browser made: runs once they have ended,
// listed in a dialog, opened, and compared with. See ui/archive.py; the baseline is drawn by baseline.js.
// Functions: listed({key, search, before}), keep({key, view}) or ({key, experiment}), which is repeated where it gives
// {fault} and not where it gives {lost}, act({key, id, act, view}). Event: reopen {id}, in its turn.
// Constants: on, days, colours, letters, decides, others: how ids begin that are not kept
const $ = (selector) => element.querySelector(selector);
const [box, find, told, rows, more, keeps] = ['.list', '.find', '.told', '.rows', '.more', '.keeps'].map($);
const SETTLES = 250; // milliseconds in which the strips of a run come to their ends
const TYPING = 200;
const [AGAIN, LATER] = [2000, 60000]; // until what could not be kept is sent again: at first, and at most
const KEY = 'playground-visitor';
const WISH = 'playground-keeps';
let timer = null;
let typing = null;
let asked = 0; // the number of the last request for the list
let last = null; // the time of the last row
let kept = ''; // the view that was kept last
let renamed = false; // whether a column has a name that the server may not have yet
let [retry, wait] = [null, AGAIN];
let experiment = null; // the one that is shown and this visitor's: {id, over}

// The key is made here and sent with the requests that need it alone; without storage there is none.
function key() {
  const known = playground.remember(KEY);
  if (/^[0-9a-f]{32}$/.test(known ?? '')) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const made = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  playground.remember(KEY, made);
  return playground.remember(KEY) === made ? made : null;
}
const wished = () => playground.remember(WISH) !== 'no';

const strips = () => [...document.querySelectorAll('#columns > .lane .strip')];
const view = () => strips().find(({ dataset }) => dataset.run)?.dataset.run ?? '';
const say = (baseline) =>
  document.dispatchEvent(new CustomEvent('playground:baseline', { detail: baseline ?? null }));

async function look() {
  const shown = strips();
  const name = view();
  const over = shown.length && shown.every(({ dataset }) => dataset.state === 'done' && dataset.run === name);
  if (!name || !over || name === kept || !wished()) return;
  kept = name;
  const answer = await keep({ view: name });
  if (!answer) {
    if (kept === name) kept = '';
    return;
  }
  element.dataset.kept = name;
  if (!answer.lost) say(answer.baseline);
  if (box.open) list();
}

// What could not be kept is reported at the button, and sent again for as long as it is shown.
async function keep(what) {
  const mine = key();
  if (!mine) return null;
  const answer = await server.keep({ key: mine, ...what }).catch(() => null);
  const fault = answer ? answer.lost ?? answer.fault ?? '' : 'The server did not answer.';
  $('.show').textContent = fault ? 'History: not kept' : 'History';
  $('.show').title = fault;
  if (answer && !answer.fault) {
    wait = AGAIN;
    return answer;
  }
  clearTimeout(retry);
  retry = setTimeout(() => { look(); lookAtExperiment(); }, wait);
  wait = Math.min(2 * wait, LATER);
  return null;
}

// An experiment is kept as it begins and, with its findings, once it has ended.
async function lookAtExperiment() {
  const what = experiment;
  if (!what || what.kept || !wished()) return;
  what.kept = true;
  what.kept = Boolean(await keep({ experiment: what.id }));
}
function follow({ detail: { id, stage } }) {
  if (!element.isConnected) return document.removeEventListener('playground:experiment', follow);
  const over = playground.experiments.isOver(stage);
  if (!playground.experiments.mine(id) || (experiment?.id === id && experiment.over === over)) return;
  experiment = { id, over, kept: false };
  lookAtExperiment();
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(look, SETTLES);
}

const { part } = playground;
const link = ({ id, kind, source }) => (kind === 'experiment'
  ? `${location.origin}${location.pathname}?experiment=${encodeURIComponent(source)}`
  : `${location.origin}${location.pathname}${location.search}#kept=${id}`);
function button(label, act, title = '') {
  const made = part('button', '', label);
  Object.assign(made, { type: 'button', title });
  made.addEventListener('click', act);
  return made;
}

function row(entry) {
  const { id, kind, source, created, pinned, title, model, columns, verdict } = entry;
  const run = kind === 'run';
  const item = part('li', pinned ? 'pinned' : '');
  const open = button('', () => {
    if (!run && !decides) {
      told.textContent = 'This host offers no experiments any more.';
      return;
    }
    box.close();
    if (run) return reopen(id);
    playground.area.show('decide');
    playground.experiments.open(source);
  });
  open.className = 'open';
  open.append(part('b', '', title));
  const when = new Date(1000 * created);
  open.append(part('span', 'when', `${when.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' })} · ${run ? '' : 'experiment · '}${model}`));
  if (verdict) open.append(part('span', 'verdict', verdict));
  const texts = part('span', 'texts');
  columns.forEach(({ name, text }, i) => {
    const one = part('span', 'one');
    const badge = part('i', '', run ? letters[i] : '');
    badge.style.setProperty('--colour', colours[i]);
    one.append(badge, part('span', 'name', name), part('span', 'text', text));
    texts.append(one);
  });
  open.append(texts);
  const acts = part('span', 'acts');
  const share = button('Copy link', () => playground.copy(link(entry), share), 'Whoever has the link can open it');
  if (run) acts.append(button(pinned ? 'Unpin' : 'Pin as baseline', () => act(pinned ? 'unpin' : 'pin', id), 'Later runs are compared with it'));
  acts.append(share, button('Delete', () => act('delete', id, run ? '' : source), run ? '' : 'With its texts and votes'));
  item.append(open, acts);
  return item;
}

async function list(further = false) {
  const mine = key();
  const turn = ++asked;
  told.textContent = mine ? '' : 'This browser keeps nothing for this page, so there is no history.';
  if (!mine) return;
  const answer = await server.listed({ key: mine, search: find.value, before: further ? last : null });
  if (turn !== asked) return;
  if (!answer || answer.fault) {
    told.textContent = answer?.fault ?? 'The server did not answer.';
    return;
  }
  if (!further) rows.replaceChildren();
  rows.append(...answer.rows.map(row));
  last = answer.rows.at(-1)?.created ?? last;
  more.hidden = !answer.more;
  if (!rows.children.length) told.textContent = find.value ? 'Nothing of yours holds these words.' : 'Runs are listed here once they have ended, experiments as they begin.';
}

// `experiment` is the id of the one that goes with a deleted entry.
async function act(what, id = '', experiment = '') {
  const answer = await server.act({ key: key(), act: what, id, view: view() });
  if (answer?.fault) told.textContent = answer.fault;
  else say(answer?.baseline);
  const { id: open } = playground.experiments;
  if (experiment) playground.experiments.forget(experiment);
  if (open && (what === 'clear' || experiment === open)) playground.experiments.open(open); // it is gone
  await list();
}

$('.show').addEventListener('click', () => {
  box.showModal();
  find.focus();
  list();
});
$('.shut').addEventListener('click', () => box.close());
box.addEventListener('click', ({ target }) => { if (target === box) box.close(); }); // beside it
find.addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(() => list(), TYPING);
});
more.addEventListener('click', () => list(true));
let sure = null;
$('.clear').addEventListener('click', () => {
  const clear = $('.clear');
  if (sure === null) { // the second press, within some seconds, deletes
    clear.textContent = 'Delete all, surely?';
    sure = setTimeout(() => { sure = null; clear.textContent = 'Delete all'; }, 5000);
    return;
  }
  clearTimeout(sure);
  sure = null;
  clear.textContent = 'Delete all';
  act('clear');
});
keeps.checked = wished();
keeps.addEventListener('change', () => {
  playground.remember(WISH, keeps.checked ? 'yes' : 'no');
  if (keeps.checked) soon();
});
$('.where').textContent = `On this server, for ${days} days, for this browser and whoever has a link.`;

// A link to a run of the history shows it once the page is open.
function reopen(id) {
  playground.turns.take(() => {
    trigger('reopen', { id });
    return true;
  });
}
const [, wanted] = /^#kept=([0-9a-f]{24})$/.exec(playground.link.asked ?? '') ?? [];
if (wanted) document.addEventListener('playground:setup', () => reopen(wanted), { once: true });

element.hidden = !on;
if (on) {
  document.addEventListener('playground:experiment', follow);
  const watching = new MutationObserver((changes) => {
    const names = changes.filter(({ attributeName }) => attributeName === 'data-name');
    const other = names.some(({ target, oldValue }) => (oldValue ?? '') !== target.dataset.name);
    if (other || (names.length && renamed)) { // as it was typed, and again as the server draws it
      kept = '';
      renamed = other;
    }
    if (changes.some(({ target }) => target.matches('.strip, .lane'))) soon();
  });
  const columns = document.querySelector('#columns');
  watching.observe(columns, { subtree: true, attributes: true, attributeFilter: ['data-state', 'data-run', 'data-name'], attributeOldValue: true });
  document.addEventListener('playground:unpin', function unpin() {
    if (element.isConnected) act('unpin');
    else document.removeEventListener('playground:unpin', unpin);
  });
  if (playground.remember(KEY)) server.act({ key: key(), act: '', view: view() }).then((answer) => say(answer?.baseline));
}
