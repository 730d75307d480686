// What other settings would have made of a finished text, and the range in which each changes nothing. See
// ui/changes.py.
// value: {run, lane, output, step, written, sentence, colour, settings: [{name, label, value, low, high, step}]}
// Functions: what_if({run, lane, output, recipe, values}), slack({run, lane, output, setting}) of the whole text, and
// token_slack({run, lane, output, step}) of the token that is inspected, where there is a server to ask.
// Event: go {run, lane, output, step, token, recipe}, in its turn.
const [figure, sentence, knobs, outcomes] = ['.changes', '.sentence', '.knobs', '.outcomes'].map((s) =>
  element.querySelector(s));
let shown = null; // the text the knobs are of
let inspected = null; // the token whose ranges are shown
let moved = {}; // by setting, where it differs
let flying = false;
let again = false;
let ranges = {}; // by setting, the range in which the text stays the same
const own = () => document.querySelector(`#columns > .lane[data-lane="${props.value.lane}"]`);
const { part } = playground;

function draw() {
  const v = props.value;
  element.hidden = !v;
  if (!v) return;
  sentence.textContent = v.sentence;
  figure.style.setProperty('--colour', v.colour);
  const key = JSON.stringify([v.run, v.lane, v.output]);
  if (key === shown) {
    token();
    return ask();
  }
  shown = key;
  [moved, ranges, inspected] = [{}, {}, null];
  outcomes.replaceChildren();
  knobs.replaceChildren(...v.settings.map(knob));
  token().catch(() => {}).then(() => slack(key)); // the text's ranges take longest
  ask();
}

function knob({ name, label, value, low, high, step }) {
  const row = part('label', 'knob');
  const [title, slider, at, told] = [part('b', ''), part('input', ''), part('output', ''), part('span', 'told')];
  told.append(part('span', 'whole'), part('span', 'one'));
  title.textContent = label;
  Object.assign(slider, { type: 'range', min: low, max: high, step });
  slider.value = value;
  at.textContent = value;
  told.firstChild.textContent = 'Looking how far it may go …';
  row.dataset.name = name;
  slider.addEventListener('input', () => {
    moved = { ...moved, [name]: Number(slider.value) };
    at.textContent = slider.value;
    ask();
  });
  slider.addEventListener('dblclick', back);
  function back() {
    slider.value = value;
    at.textContent = value;
    delete moved[name];
    ask();
  }
  const reset = part('button', 'reset');
  Object.assign(reset, { type: 'button', textContent: `Back to ${value}` });
  reset.dataset.unsaved = '';
  reset.addEventListener('click', (event) => { event.preventDefault(); back(); });
  row.append(title, slider, at, told, reset);
  return row;
}

// One request at a time, and then the latest only.
async function ask() {
  if (flying) { again = true; return; }
  const { run, lane, output, written } = props.value;
  for (const row of knobs.children) row.classList.toggle('moved', row.dataset.name in moved);
  const now = own()?.dataset.written ?? written;
  const asked = [];
  if (Object.keys(moved).length) asked.push(['With these values', { recipe: written, values: moved }]);
  if (now !== written) asked.push([`With the recipe as column ${props.value.letter} has it now`, { recipe: now, values: {} }]);
  if (!asked.length) return outcomes.replaceChildren();
  flying = true;
  const answers = [];
  for (const [head, what] of asked) answers.push([head, await server.what_if({ run, lane, output, ...what })]);
  flying = false;
  if (again) { again = false; return ask(); }
  outcomes.replaceChildren(...answers.map(([head, answer]) => outcome(head, answer)));
}

function outcome(head, answer) {
  const line = part('p', 'outcome');
  line.textContent = `${head}: ${answer?.told ?? 'the server did not answer.'} `;
  line.dataset.kind = answer?.kind ?? 'unknown';
  if (!answer || answer.index === undefined) return line;
  const button = part('button', 'go');
  button.type = 'button';
  button.dataset.unsaved = '';
  const from = `from token ${answer.index + 1}`;
  button.textContent = answer.kind === 'unknown' ? `Let the model write it ${from}` : `Continue ${from}`;
  const { run, lane, output } = props.value;
  button.addEventListener('click', () => playground.turns.take(() => {
    trigger('go', { run, lane, output, step: answer.index, token: null, recipe: answer.recipe });
    return true;
  }));
  line.append(button);
  return line;
}

// One setting after the other, so that each is shown as soon as it is known.
async function slack(key) {
  const { run, lane, output } = props.value;
  for (const row of [...knobs.children]) {
    if (key !== shown) return;
    const setting = row.dataset.name;
    const known = (await server.slack({ run, lane, output, setting })) ?? { fault: 'The server did not answer.' };
    if (key !== shown) return;
    ranges = { ...ranges, ...known };
    if (known.fault) {
      sentence.textContent = known.fault;
      for (const other of knobs.children) band(other, undefined, '.whole', 'known', ['--from', '--to']);
      return;
    }
    band(row, known[setting], '.whole', 'known', ['--from', '--to']);
  }
}

// The inspected token's own ranges, one request at a time.
async function token() {
  const { run, lane, output, step } = props.value;
  const key = JSON.stringify([run, lane, output, step]);
  if (key === inspected) return;
  inspected = key;
  if (!server.token_slack) return; // a saved comparison has no server
  const known = (await server.token_slack({ run, lane, output, step })) ?? {};
  if (key !== inspected) return;
  for (const row of knobs.children) band(row, known[row.dataset.name], '.one', 'token-known', ['--one-from', '--one-to']);
}

function band(row, found, place, name, ends) {
  const slider = row.querySelector('input');
  const share = (x) => `${Math.max(0, Math.min(100, (100 * (x - slider.min)) / (slider.max - slider.min)))}%`;
  row.querySelector(place).textContent = found?.told ?? '';
  const known = found?.low !== undefined;
  row.classList.toggle(name, known);
  if (known) [found.low, found.high].forEach((value, i) => row.style.setProperty(ends[i], share(value)));
}

document.addEventListener('playground:setup', function changed() {
  if (!element.isConnected) return document.removeEventListener('playground:setup', changed);
  if (props.value && element.offsetParent) ask();
});
function table() {
  const rows = props.value.settings.map(({ name, value }) => {
    const { low, high, told } = ranges[name] ?? {};
    return [name, value, low, high, told];
  });
  const name = `slack-${props.value.letter}`;
  return { name, columns: ['setting', 'value', 'same text from', 'same text to', 'told'], rows };
}

playground.save(figure, table);
watch('value', draw);
draw();
