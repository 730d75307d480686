// An experiment as it runs, and what it found; see ui/decide.py and experiment/state.py.
// Functions: follow({id, version}) gives {version, state} or {gone}, stop({id}), go_on({id}), delete({id}),
//   by_prompt({id, metric}) gives {rows: [{name, cells}], left_out}.
// Events: draw {id, quality, diversity} has the frontier drawn, texts {id, recipe, prompt} has texts opened.
// Constants: colours
const home = element.querySelector('.finding');
const [heading, facts, told, fault, failures, verdict, table] = ['h2', '.facts', '.progress .told', '.fault', '.failures', '.verdict', '.table']
  .map((s) => home.querySelector(s));
const [stop, onward, link, drop, bar, axes] = ['.stop', '.onward', '.link', '.delete', 'progress', '.axes'].map((s) => home.querySelector(s));
const [pairs, prompts] = ['.pairs', '.prompts'].map((s) => home.querySelector(s));
const [LOOK, REST] = [1000, 4000]; // milliseconds between two requests, and while the page is hidden
const FIRST = 8; // sentences that are shown at first
let [id, version, state, timer, turn] = [null, -1, null, null, 0];
let listed = null; // how many texts the table by prompt is of
let drawn = null; // the experiment and the stage that the frontier was drawn of

const { part, counted } = playground;
const over = () => state && playground.experiments.isOver(state.stage);

async function look() {
  clearTimeout(timer);
  const mine = ++turn;
  if (!id) return;
  let answer;
  try { answer = await server.follow({ id, version }); } catch { answer = null; }
  if (mine !== turn) return;
  fault.hidden = !(answer?.gone || answer?.fault || !answer);
  fault.textContent = answer?.gone ?? answer?.fault ?? (answer ? '' : 'The server does not answer; this page asks again.');
  if (answer?.gone) {
    playground.experiments.forget(id);
    home.dataset.stage = 'gone';
    return;
  }
  if (answer?.state) {
    [version, state] = [answer.version, answer.state];
    draw();
  }
  if (!over()) timer = setTimeout(look, document.hidden || playground.area.shown !== 'decide' ? REST : LOOK);
}

function left(seconds) {
  if (seconds === null) return '';
  if (seconds < 90) return `, about ${Math.ceil(seconds)} s left`;
  return seconds < 5400 ? `, about ${Math.round(seconds / 60)} min left` : `, about ${(seconds / 3600).toFixed(1)} h left`;
}
function sentence() {
  const texts = `${state.done.toLocaleString('en')} of ${counted(state.total, 'text')}`;
  const { stage, note } = state;
  if (stage === 'waiting') return note || 'Waits.';
  if (stage === 'running') return note || `${texts}${left(state.seconds_left)}`;
  if (stage === 'concluding') return `${texts}. Comparing …`;
  if (stage === 'done') return state.measured < state.total ? `Done; of ${texts} are still kept.` : `Done: ${counted(state.total, 'text')}.`;
  return stage === 'failed' ? `Failed after ${texts}: ${note}` : `Stopped after ${texts}; what follows is of these.`;
}

function draw() {
  document.dispatchEvent(new CustomEvent('playground:experiment', { detail: state }));
  const title = state.question || `${counted(state.recipes.length, 'recipe')}, ${counted(state.prompts, 'prompt')}`;
  playground.experiments.name(id, title);
  home.dataset.stage = state.stage;
  home.hidden = false;
  heading.textContent = title;
  facts.textContent = `${state.model}; ${counted(state.prompts, 'prompt')} × ${counted(state.recipes.length, 'recipe')} × `
    + `${counted(state.seeds, 'seed')}, at most ${counted(state.max_new_tokens, 'token')} each`;
  told.textContent = sentence();
  bar.value = state.total ? state.done / state.total : 0;
  stop.hidden = over() || state.stage === 'concluding';
  onward.hidden = !over() || state.stage === 'done';
  failures.replaceChildren(...state.failed.map(({ recipe, texts, reason }) => part('li', {
    textContent: `${state.recipes[recipe].name}: ${counted(texts, 'text')} failed. ${reason}`,
  })));
  means();
  sentences();
  pairs.hidden = !state.pairs.length;
  menu(pairs.querySelector('select'), state.metrics);
  menu(prompts.querySelector('select'), state.metrics);
  if (state.pairs.length) listPairs();
  for (const anchor of home.querySelectorAll('.downloads a')) anchor.href = `api/experiments/${id}/${anchor.dataset.as}`;
  if (prompts.open && state.measured !== listed && !prompts.querySelector('.scroll').contains(document.activeElement)) listPrompts();
  axes.hidden = !over() || !state.measured || state.recipes.length < 2;
  const key = `${id} ${state.stage} ${state.measured}`;
  if (over() && key !== drawn) {
    drawn = key;
    menu(axes.querySelector('.up'), state.metrics, 'the first check, or perplexity');
    menu(axes.querySelector('.across'), state.metrics, 'self-BLEU, or distinct n-grams');
    frontier();
  }
}

// Settled differences come first; all but the first few, and those not settled yet, are folded away.
function sentences() {
  verdict.hidden = !state.verdict.length;
  if (verdict.hidden) return;
  const settled = state.pairs.filter((pair) => pair.settled).map((pair) => pair.sentence);
  const known = new Set(settled);
  const fold = (name, list, words) => {
    const box = verdict.querySelector(name);
    box.hidden = !list.length;
    box.querySelector('summary').textContent = words;
    box.querySelector('ul').replaceChildren(...lines(list));
  };
  const lines = (list) => list.map((line) => part('li', { textContent: line }));
  const first = verdict.querySelector('ul');
  first.replaceChildren(...lines(settled.length ? settled.slice(0, FIRST) : ['No difference can be told yet.']));
  first.classList.toggle('none', !settled.length);
  fold('.more', settled.slice(FIRST), `${settled.length - FIRST} more that can be told`);
  const rest = state.verdict.filter((line) => !known.has(line));
  fold('.open', rest, `What cannot be told yet, and how much more would do (${rest.length})`);
}

function menu(select, metrics, first) {
  const wanted = metrics.length + (first ? 1 : 0);
  if (select.dataset.of === id && select.options.length === wanted) return;
  select.dataset.of = id;
  select.replaceChildren(...(first ? [part('option', { value: '', textContent: first })] : []),
    ...metrics.map(({ title, written }, i) => part('option', { value: first ? written : i, textContent: title })));
}

// The table is made once for an experiment and filled in place, so that nothing jumps while it runs.
function means() {
  if (table.dataset.of !== id) {
    table.dataset.of = id;
    const head = part('tr', {}, part('th', { scope: 'col', textContent: 'Recipe' }),
      ...state.metrics.map(({ title, summary, better }) => part('th', { scope: 'col', title: summary, className: 'number' }, title,
        part('small', { textContent: better ? `${better} is better` : '' }))));
    const rows = state.recipes.map(({ name, written }, recipe) => {
      const open = part('button', { type: 'button', className: 'name', title: `${written}\nOpen its texts` }, part('i'), name);
      open.style.setProperty('--colour', colours[recipe % colours.length]);
      open.addEventListener('click', () => trigger('texts', { id, recipe }));
      return part('tr', {}, part('th', { scope: 'row' }, open), ...state.metrics.map(() => part('td', { className: 'number' },
        part('span', { textContent: '…' }), part('i', { className: 'reach' }))));
    });
    table.replaceChildren(part('thead', {}, head), part('tbody', {}, ...rows));
  }
  const body = table.tBodies[0];
  state.metrics.forEach((_, column) => {
    const found = state.means.map((row) => row[column]);
    const ends = found.flatMap((one) => (one ? [one.low ?? one.mean, one.high ?? one.mean] : []));
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const share = (value) => (high > low ? (100 * (value - low)) / (high - low) : 50);
    found.forEach((one, row) => {
      const [text, reach] = body.rows[row].cells[column + 1].children;
      text.textContent = one ? one.shown : over() ? 'n/a' : '…';
      reach.hidden = !one;
      if (!one) return;
      const colour = colours[row % colours.length];
      for (const [name, value] of [['--low', share(one.low ?? one.mean)], ['--mean', share(one.mean)], ['--high', share(one.high ?? one.mean)]])
        reach.style.setProperty(name, `${value.toFixed(1)}%`);
      reach.style.setProperty('--colour', colour);
    });
  });
  const note = home.querySelector('.means ~ .note');
  note.textContent = over()
    ? 'Each prompt counts as the mean of its texts; the interval (BCa bootstrap of whole prompts) holds the true mean with 95 %. A click on a recipe opens its texts.'
      + state.metrics.map((one) => (one.note ? ` ${one.note}` : '')).join('')
    : `Of ${counted(state.measured, 'text')} so far. What differs is told at the end: to look again and again, and to stop where it pleases, would find differences that are none.`;
}

function listPairs() {
  const metric = Number(pairs.querySelector('select').value || 0);
  const rows = state.pairs.filter((pair) => pair.metric === metric).map((pair) => part('tr', { className: pair.settled ? 'settled' : '' },
    part('td', { textContent: state.recipes[pair.first].name }), part('td', { textContent: state.recipes[pair.second].name }),
    part('td', { className: 'number', textContent: pair.shown }), part('td', { className: 'number', textContent: pair.p < 0.0001 ? '< 0.0001' : pair.p.toFixed(4) }),
    part('td', { textContent: pair.settled ? 'yes' : 'not yet' }),
    part('td', { className: 'number', textContent: pair.further?.toLocaleString('en') ?? (pair.settled ? '' : 'more than 10,000') })));
  const titles = ['First', 'Second', 'First − second, ± 95 %', 'p, Holm', 'Told', 'Further prompts'];
  pairs.querySelector('table').replaceChildren(part('thead', {}, part('tr', {}, ...titles.map((title) => part('th', { scope: 'col', textContent: title })))),
    part('tbody', {}, ...rows));
  pairs.querySelector('.note').textContent = 'Differences are paired within each prompt and seed. p is of the sign-flip test over prompts, after Holm’s correction over all pairs of the metric.'
    + (state.pairs_left_out ? ` ${counted(state.pairs_left_out, 'pair')} more are in the CSV of pairs.` : '');
}

let [asked, again] = [false, false]; // whether the table was requested, and has to be requested again
async function listPrompts() {
  again = asked;
  if (asked) return;
  asked = true;
  try { await fetchPrompts(); } finally { asked = false; }
  if (again) listPrompts();
}

async function fetchPrompts() {
  const mine = id;
  listed = state.measured;
  const answer = await server.by_prompt({ id, metric: Number(prompts.querySelector('select').value || 0) });
  if (mine !== id || !answer?.rows) return;
  const head = part('tr', {}, part('th', { scope: 'col', textContent: 'Prompt' }), ...state.recipes.map(({ name }) => part('th', { scope: 'col', className: 'number', textContent: name })));
  const rows = answer.rows.map(({ name, cells }, prompt) => part('tr', {}, part('th', { scope: 'row', textContent: name }), ...cells.map((shown, recipe) => {
    const open = part('button', { type: 'button', textContent: shown ?? 'n/a', title: 'Open its texts' });
    open.addEventListener('click', () => trigger('texts', { id, recipe, prompt }));
    return part('td', { className: 'number' }, open);
  })));
  prompts.querySelector('table').replaceChildren(part('thead', {}, head), part('tbody', {}, ...rows));
  prompts.querySelector('.note').textContent = `The mean over seeds, ± 95 % over them${answer.left_out ? `; ${counted(answer.left_out, 'prompt')} more are in the report` : ''}.`;
}

const frontier = () => trigger('draw', { id, quality: axes.querySelector('.up').value, diversity: axes.querySelector('.across').value });
axes.addEventListener('change', frontier);
pairs.querySelector('select').addEventListener('change', listPairs);
prompts.querySelector('select').addEventListener('change', listPrompts);
prompts.addEventListener('toggle', () => { if (prompts.open) listPrompts(); });
stop.addEventListener('click', async () => {
  stop.disabled = true;
  await server.stop({ id });
  stop.disabled = false;
  look();
});
onward.addEventListener('click', async () => {
  const answer = await server.go_on({ id });
  if (answer?.fault) {
    fault.textContent = answer.fault;
    fault.hidden = false;
    return;
  }
  version = -1;
  look();
});
let sure = null;
const unsure = () => {
  clearTimeout(sure);
  sure = null;
  drop.textContent = 'Delete';
};
drop.addEventListener('click', async () => { // the second press, within some seconds, deletes
  if (sure === null) {
    drop.textContent = 'Delete its texts and votes, surely?';
    sure = setTimeout(unsure, 5000);
    return;
  }
  unsure();
  const gone = id;
  drop.disabled = true;
  const answer = await server.delete({ id: gone }).catch(() => null);
  drop.disabled = false;
  if (!answer || answer.fault) {
    fault.textContent = answer?.fault ?? 'The server did not answer.';
    fault.hidden = false;
    return;
  }
  playground.experiments.forget(gone);
  if (id !== gone) return;
  frontier(); // its drawing is gone
  playground.experiments.open(null);
});
link.addEventListener('click', () =>
  playground.copy(`${location.origin}${location.pathname}?experiment=${encodeURIComponent(id)}`, link));
playground.experiments.listen('experiment', (given) => {
  [id, version, state] = [given, -1, null];
  unsure();
  home.hidden = !id;
  home.dataset.stage = 'opening';
  if (id) home.scrollIntoView({ block: 'nearest' });
  look();
});
document.addEventListener('visibilitychange', () => { if (!document.hidden && id && !over()) look(); });
