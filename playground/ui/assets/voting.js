// Blind votes on an experiment that has ended; see ui/voting.py.
// Functions: begin_vote({id, recipes, most, early}) gives {fault} or {}, votes({id}) gives {standings: [Standing, …]}.
const home = element.querySelector('.voting');
const [form, recipes, fault, ballots] = ['form', '.recipes', '.fault', '.ballots'].map((s) => home.querySelector(s));
const LOOK = 3000; // milliseconds between two requests while a vote goes on
const FIRST = 4; // recipes that are ticked
let [id, timer, turn, state] = [null, null, 0, null];

const { part, counted } = playground;

document.addEventListener('playground:experiment', ({ detail }) => {
  const other = state?.id !== detail.id;
  state = detail;
  const over = playground.experiments.isOver(state.stage) && state.done > 0 && state.recipes.length > 1;
  home.hidden = !over;
  if (!over) return;
  if (other || !recipes.children.length) {
    recipes.replaceChildren(...state.recipes.map(({ name, written }, i) => part('label', { className: 'check', title: written },
      part('input', { type: 'checkbox', value: i, checked: i < FIRST }), part('span', { textContent: name }))));
    ballots.replaceChildren();
  }
  id = state.id;
  look();
});
playground.experiments.listen('experiment', (given) => {
  if (given !== id) { id = null; home.hidden = true; }
});

async function look() {
  clearTimeout(timer);
  const mine = ++turn;
  if (!id || unseen()) return;
  const answer = await server.votes({ id }).catch(() => null);
  if (mine !== turn) return;
  if (answer?.standings) draw(answer.standings);
  if (!answer || answer.standings?.some(({ over }) => !over)) timer = setTimeout(look, LOOK);
}
const unseen = () => document.hidden || playground.area.shown !== 'decide';
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
playground.area.attach((area) => { if (area === 'decide') look(); });

function draw(standings) {
  const known = new Map([...ballots.children].map((child) => [child.dataset.ballot, child]));
  ballots.replaceChildren(...standings.map((one) => fill(known.get(one.id) ?? made(one), one)));
}

function made(one) {
  const address = new URL(`vote/${encodeURIComponent(one.id)}`, location.origin + location.pathname).href;
  const copy = part('button', { type: 'button', textContent: 'Copy the link for voters' });
  copy.addEventListener('click', () => playground.copy(address, copy));
  const box = part('article', { className: 'ballot' },
    part('h3', {}), part('p', { className: 'rule' }),
    part('p', { className: 'line' }, part('a', { className: 'cast', href: address, target: '_blank', textContent: 'Vote' }), copy,
      part('a', { download: '', href: `api/experiments/${id}/ballots/${one.id}/votes.csv`, textContent: 'CSV of every vote' })),
    part('div', { className: 'told' }));
  box.dataset.ballot = one.id;
  return box;
}

function fill(box, one) {
  box.querySelector('h3').textContent = `${counted(one.votes, 'vote')} of ${counted(one.voters, 'voter')}, at most ${one.most.toLocaleString('en')}`;
  box.querySelector('.rule').textContent = one.over || one.rule;
  box.dataset.votes = one.votes;
  const told = box.querySelector('.told');
  if (!one.votes) {
    told.replaceChildren(part('p', { className: 'note', textContent: `${counted(one.units, 'pair')} of texts to choose from`
      + (one.alike ? `; ${counted(one.alike, 'pair')} of the same text left out.` : '.') }));
    return box;
  }
  const ends = one.strengths.flatMap(({ low, high }) => [low, high]);
  const [low, high] = [Math.min(...ends, 0), Math.max(...ends, 0)];
  const share = (value) => `${((100 * (value - low)) / (high - low || 1)).toFixed(1)}%`;
  const rows = one.strengths.map((each) => {
    const reach = part('i', { className: 'reach' });
    reach.style.setProperty('--colour', colours[each.recipe % colours.length]);
    for (const [name, value] of [['--low', each.low], ['--mean', each.value], ['--high', each.high]]) reach.style.setProperty(name, share(value));
    const shown = (value) => value.toFixed(2).replace('-', '−');
    return part('tr', {}, part('th', { scope: 'row', textContent: each.name }), part('td', {}, reach),
      part('td', { className: 'number', textContent: `${shown(each.value)} (${shown(each.low)} to ${shown(each.high)})` }),
      part('td', { className: 'number', textContent: each.votes.toLocaleString('en') }));
  });
  const titles = ['Recipe', '', 'Strength (Bradley–Terry, log, 95 %)', 'Votes'];
  told.replaceChildren(
    part('ul', {}, ...one.pairs.map((pair) => part('li', { className: pair.decided ? 'settled' : '',
      textContent: `${pair.sentence} (${pair.for_one} : ${pair.for_other}, ${counted(pair.ties, 'tie')}, ${pair.both_bad} both bad)` }))),
    part('table', {}, part('thead', {}, part('tr', {}, ...titles.map((title) => part('th', { scope: 'col', textContent: title })))), part('tbody', {}, ...rows)),
    ...[one.position, one.ties, one.agreement].filter(Boolean).map((line) => part('p', { className: 'note', textContent: line })));
  return box;
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const chosen = [...recipes.querySelectorAll(':checked')].map(({ value }) => Number(value));
  const button = form.querySelector('.begin');
  button.disabled = true;
  const answer = (await server.begin_vote({ id, recipes: chosen, most: form.elements.most.value, early: form.elements.early.checked }).catch(() => null))
    ?? { fault: 'The server did not answer.' };
  button.disabled = false;
  fault.textContent = answer.fault ?? '';
  fault.hidden = !answer.fault;
  look();
});
