// What a file shows: the columns, and of one token at a time all that the page's inspector shows.
// All values are in the file; see playground/html/content.py.
(async () => {
  const $ = (selector) => document.querySelector(selector);
  const page = $('#page');
  const node = (name, className = '', text = '') =>
    Object.assign(document.createElement(name), { className, textContent: text });

  // Theme: the system's, until one is chosen.
  function theme(name) {
    document.body.classList.toggle('dark', name === 'dark');
    document.documentElement.style.colorScheme = name;
  }
  const system = matchMedia('(prefers-color-scheme: dark)');
  const follow = () => theme(playground.remember('playground-theme') || (system.matches ? 'dark' : 'light'));
  follow();
  system.addEventListener('change', follow);
  let chosen = null; // where storage is denied, the choice lasts as long as the page
  $('#theme').addEventListener('click', () => {
    chosen = document.body.classList.contains('dark') ? 'light' : 'dark';
    playground.remember('playground-theme', chosen);
    theme(chosen);
  });

  async function unpacked(id) {
    const bytes = Uint8Array.from(atob($(`#${id}`).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Response(stream).text();
  }
  let data;
  try {
    data = JSON.parse(await unpacked('content'));
  } catch (error) {
    $('#fault').hidden = false;
    $('#fault').textContent = typeof DecompressionStream === 'undefined'
      ? 'This browser is too old to unpack the file; any of 2023 or later can.'
      : `The file is damaged: ${error.message}.`;
    return;
  }
  const { head, lanes, texts } = data;
  const shown = { ...data.opening, text: 0, stage: 'final', side: data.sides[0][1], tab: 'distribution' };

  // A choice of one among words, in the page's look.
  let groups = 0;
  function segments(home, label, choices, value, act) {
    const block = node('div', 'block segments');
    const group = node('fieldset');
    const row = node('div', 'wrap');
    const name = `choice-${groups += 1}`;
    const title = node('legend', '', label);
    title.dataset.testid = 'block-info';
    group.append(title, row);
    block.append(group);
    home.append(block);
    const mark = (now) => {
      for (const option of row.children) {
        const input = option.querySelector('input');
        input.checked = input.value === String(now);
        option.classList.toggle('selected', input.checked);
      }
    };
    const fill = (given, now) => {
      const key = JSON.stringify(given);
      if (key !== row.dataset.choices) {
        row.dataset.choices = key;
        row.replaceChildren(...given.map(([words, option]) => {
          const choice = node('label');
          const input = Object.assign(node('input'), { type: 'radio', name, value: option });
          input.addEventListener('change', () => { mark(option); act(option); });
          choice.append(input, node('span', '', words));
          return choice;
        }));
      }
      block.hidden = given.length < 2;
      mark(now);
    };
    fill(choices, value);
    return fill;
  }

  // Head
  document.title = `${head.prompt.replace(/\s+/g, ' ').slice(0, 60)} · Decoding playground`;
  $('#header .title').textContent = head.model;
  $('#facts .status').textContent = head.facts;
  $('#setup .asked').textContent = head.prompt;
  const made = new Date(head.created);
  const when = Number.isNaN(made.getTime()) ? head.created
    : made.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' });
  $('#line').textContent = `Recorded on ${when}: ${head.outcome}`;
  for (const [name, value] of head.settings) {
    const pair = node('div');
    pair.append(node('dt', '', name), node('dd', '', value));
    $('#setup .limits').append(pair);
  }
  mount($('#setup .prompt'), 'chips', { value: head.chips });
  segments($('#bar'), 'Colour by', ['surprise', 'rank', 'entropy', 'off'].map((t) => [t, t]), 'surprise',
    (tint) => { page.dataset.tint = tint; });
  mount($('#bar'), 'reference', { on: { refer: () => drawTab() } });

  // Columns
  const strips = lanes.map((lane, number) => {
    const box = node('section', 'lane card');
    box.dataset.lane = number;
    box.setAttribute('aria-label', `Column ${lane.letter}`);
    const recipe = node('div', 'recipe');
    recipe.style.setProperty('--colour', lane.colour);
    recipe.style.setProperty('--ink', lane.ink);
    const top = node('header');
    const letter = node('span', 'letter', lane.letter);
    const steps = node('ol', 'steps');
    steps.title = lane.recipe;
    lane.steps.forEach(({ label, enabled }, i) => {
      const step = node('li', 'step');
      step.classList.toggle('off', !enabled);
      step.classList.toggle('search', i === lane.steps.length - 1);
      step.append(node('span', '', label));
      steps.append(step);
    });
    if (lane.name) top.append(letter, node('h2', 'name', lane.name));
    else top.append(letter, steps);
    recipe.append(top, ...(lane.name ? [steps] : []));
    const frame = node('div');
    frame.append(recipe);
    box.append(frame);
    $('#columns').append(box);
    return mount(box, 'strip', {
      value: texts[0].strips[number],
      constants: { colour: lane.colour },
      on: { pick: ({ lane: at, step }) => select(at, step), turn: ({ output }) => turn(output) },
    });
  });
  document.dispatchEvent(new CustomEvent('playground:setup'));

  // Inspector
  mount($('#inspector'), 'dock');
  const caption = mount($('.caption-home'), 'caption');
  const column = segments($('#inspector-place'), 'Column', lanes.map(({ letter, name }, i) => [`${letter} ${name}`.trim(), i]),
    shown.lane, (lane) => select(Number(lane), shown.step));
  const token = mount($('#inspector-place'), 'token', { on: { input: (_, value) => select(shown.lane, value.token - 1) } });
  const tabs = {};
  function tab(name, title, ...parts) {
    const [button, panel] = [node('button', '', title), node('div', 'tabitem')];
    Object.assign(button, { type: 'button', id: `tab-${name}` });
    Object.assign(panel, { id: `panel-${name}`, hidden: true });
    for (const [key, value] of Object.entries({ role: 'tab', 'aria-controls': panel.id })) button.setAttribute(key, value);
    for (const [key, value] of Object.entries({ role: 'tabpanel', 'aria-labelledby': button.id })) panel.setAttribute(key, value);
    button.addEventListener('click', () => open(name));
    panel.append(...parts);
    $('#inspector .tab-container').append(button);
    $('#inspector .tabs').append(panel);
    tabs[name] = { button, panel };
  }
  const part = (className = '') => node('div', `part ${className}`);
  const point = { point: ({ data: [lane, step] }) => select(lane, step) };

  const [bars, stages] = [part(), part()];
  tab('distribution', 'Distribution', bars, stages);
  const after = segments(stages, 'Bars after', [], null, (stage) => { shown.stage = stage; drawTab(); });
  const charts = {
    bars: mount(bars, 'rows'),
    stages: mount(stages, 'rows', { on: { point: ({ data: [stage] }) => { shown.stage = String(stage); drawTab(); } } }),
  };
  const reasons = part('whole');
  tab('why', 'Why', reasons);
  charts.panels = mount(reasons, 'panels');
  charts.why = mount(reasons, 'listing');
  const [own, others] = [part(), part()];
  tab('draw', 'Draw', own, others);
  charts.tickets = mount(own, 'listing');
  charts.neighbours = mount(others, 'listing');
  const knobs = part('whole');
  tab('changes', 'What if', knobs);
  charts.changes = mount(knobs, 'changes', { server: { what_if: whatIf, slack: () => ranges() ?? {} } });
  if (lanes.length > 1) {
    const apart = part();
    tab('distances', 'Distance', apart);
    charts.distances = mount(apart, 'listing');
  }
  const [left, right] = [part(), part()];
  tab('timings', 'Timings', left, right);
  for (const [home, name] of [[left, 'per_step'], [right, 'timeline'], [right, 'memory']])
    charts[name] = mount(home, 'plot', { constants: { source: '' }, on: point });
  const whole = part('whole');
  tab('steps', 'Steps', whole);
  segments(whole, 'Values', data.sides, shown.side, (side) => { shown.side = side; drawTab(); });
  charts.steps = mount(whole, 'plot', { constants: { source: '' }, on: point });
  const files = part('whole');
  tab('data', 'Data', files);
  const links = mount(files, 'downloads');
  files.append(node('p', 'restore', 'Drop this file, or its JSON, onto a Decoding Playground to open the run there.'));
  const table = node('div', 'table');
  table.tabIndex = 0;
  table.setAttribute('role', 'region');
  table.setAttribute('aria-label', 'Tokens');
  files.append(table);

  const path = () => texts[shown.text].paths[shown.lane];
  const clamp = (least, value, most) => Math.max(least, Math.min(value, most));

  function select(lane, step) {
    shown.lane = clamp(0, lane, lanes.length - 1);
    shown.step = clamp(0, step, Math.max(0, path().length - 1));
    draw();
  }
  function turn(text) {
    shown.text = text;
    strips.forEach((strip, i) => strip.show(texts[text].strips[i]));
    select(shown.lane, shown.step);
  }
  function draw() {
    const here = path();
    caption.show(here[shown.step]?.caption ?? texts[shown.text].none[shown.lane]);
    column(lanes.map(({ letter, name }, i) => [`${letter} ${name}`.trim(), i]), shown.lane);
    token.show(here.length ? { token: shown.step + 1, most: here.length } : null);
    drawTab();
  }

  // A chart of all columns, with the selected token marked in it.
  function marked(value) {
    if (!value?.figure) return value;
    const figure = structuredClone(value.figure);
    const own = (trace) => trace.customdata?.[0]?.[0] === shown.lane;
    const { colour } = lanes[shown.lane];
    for (const trace of figure.data.filter(own)) {
      if (trace.type === 'scatter' && Array.isArray(trace.marker?.size)) {
        trace.mode = 'lines+markers';
        trace.marker.color = colour;
        trace.marker.size = trace.customdata.map(([, step]) => (step === shown.step ? 13 : 5));
      }
    }
    const stack = figure.data.find((trace) => trace.type === 'bar' && own(trace));
    const at = stack ? stack.customdata.findLastIndex(([, step]) => step <= shown.step) : -1;
    if (at >= 0) {
      const half = ((stack.x[1] ?? stack.x[0] + 1) - stack.x[0]) / 2;
      figure.layout.shapes = [...(figure.layout.shapes ?? []), { type: 'rect', yref: `${stack.yaxis} domain`, y0: 0, y1: 1,
        x0: stack.x[at] - half, x1: stack.x[at] + half, fillcolor: 'rgba(138,148,163,0.3)', line: { width: 0 }, layer: 'below' }];
    }
    return { ...value, figure };
  }

  const draws = {
    distribution(record) {
      const { stages: choices } = lanes[shown.lane];
      const asked = choices.some(([, value]) => value === shown.stage) ? shown.stage : 'final';
      after(choices, asked);
      const index = asked === 'final' ? record.bars.length - 1 : Number(asked) + 1;
      for (const name of ['bars', 'stages']) charts[name].show({ ...record[name][index], table: record.tables[name] });
    },
    why(record) {
      charts.panels.show({ ...record.panels, table: record.tables.stages });
      charts.why.show({ ...record.why, table: record.tables.bars });
    },
    draw(_, place) {
      charts.tickets.show(place.tickets);
      charts.neighbours.show(place.neighbours);
    },
    changes() { charts.changes.show(texts[shown.text].changes[shown.lane]); },
    distances() { charts.distances.show(texts[shown.text].distances[shown.lane]); },
    timings() {
      const { per_step: each, timeline, memory } = texts[shown.text].timings;
      charts.per_step.show(marked(each));
      charts.timeline.show(timeline);
      charts.memory.show(memory);
    },
    steps() {
      const value = texts[shown.text].steps[shown.side];
      const { reference } = playground.reference.view();
      const other = reference === null ? null : value.references[reference];
      const figure = other ? { ...value.figure, layout: { ...value.figure.layout, shapes: other.shapes } } : value.figure;
      charts.steps.show(marked({ ...value, figure, sentence: other?.sentence ?? value.sentence }));
    },
    data: drawData,
  };
  function drawTab() {
    const place = path()[shown.step];
    if (place) return draws[shown.tab](lanes[shown.lane].records[place.record], place);
    for (const chart of Object.values(charts)) chart.show(null);
    if (shown.tab === 'data') drawData();
  }
  function open(name) {
    shown.tab = name;
    for (const [key, { button, panel }] of Object.entries(tabs)) {
      button.setAttribute('aria-selected', String(key === name));
      button.tabIndex = key === name ? 0 : -1;
      panel.hidden = key !== name;
    }
    drawTab();
  }
  $('#inspector .tab-container').addEventListener('keydown', (event) => {
    const names = Object.keys(tabs);
    const now = names.indexOf(shown.tab);
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const name = names[(to + names.length) % names.length];
    open(name);
    tabs[name].button.focus();
  });

  // What if: a setting's range at each token is in the file; of two settings at once nothing is.
  const ranges = () => texts[shown.text].changes[shown.lane]?.ranges;
  function whatIf({ values }) {
    const known = ranges() ?? {};
    const moved = Object.entries(values);
    if (moved.length > 1)
      return { kind: 'unknown', told: 'a file can follow one setting at a time; put the others back.' };
    const [[name, value]] = moved;
    const found = known[name]?.tokens ?? [];
    if (!found.length) return { kind: 'unknown', told: 'the file does not hold how far it may go.' };
    const index = found.findIndex(([low, high]) => value < low || value > high);
    if (index < 0) return { kind: 'same', told: `this text would not have changed; all ${found.length} tokens stay.` };
    const [, , below, above] = found[index];
    const sure = (below !== null && value <= below) || (above !== null && value >= above);
    const stay = index ? `; the ${index === 1 ? '1 token' : `${index} tokens`} before it stay` : '';
    const text = path()[index].caption.title.replace(/^token \d+: /, '');
    return sure
      ? { kind: 'changed', told: `at token ${index + 1} another token would stand in place of ${text}${stay}.` }
      : { kind: 'unknown', told: `it may change at token ${index + 1}, ${text}; the page tells which token comes instead${stay}.` };
  }

  // Data
  let drawn = null;
  const save = (text, type) => URL.createObjectURL(new Blob([text], { type }));
  async function drawData() {
    if (!links.element.dataset.ready) {
      links.element.dataset.ready = 'yes';
      links.show({ csv: save(data.csv, 'text/csv'), json: save(await unpacked('run'), 'application/json') });
      for (const link of links.element.querySelectorAll('a')) link.download = `comparison-${data.name.replace(/[^\w-]/g, '')}.${link.className}`;
    }
    const { columns, rows } = texts[shown.text].table;
    if (drawn !== shown.text) {
      drawn = shown.text;
      const made = node('table');
      const names = node('tr');
      names.append(...columns.map((name) => Object.assign(node('th', '', name), { scope: 'col' })));
      made.append(node('thead'), node('tbody'));
      made.tHead.append(names);
      made.tBodies[0].append(...rows.map((row) => {
        const line = node('tr');
        line.append(...row.map((value) => node('td', typeof value === 'number' ? 'number' : '', value ?? '')));
        return line;
      }));
      table.replaceChildren(made);
    }
    const [letter, position] = [lanes[shown.lane].letter, shown.step + 1];
    const [c, p] = [columns.indexOf('column'), columns.indexOf('position')];
    rows.forEach((row, i) => {
      const line = table.querySelector('tbody').children[i];
      line.classList.toggle('selected', row[c] === letter && row[p] === position);
    });
    const line = table.querySelector('.selected'); // within the table alone: the panel stays where it is
    if (line) table.scrollTop = line.offsetTop - table.clientHeight / 2;
  }

  open('distribution');
  draw();
  document.dispatchEvent(new CustomEvent('playground:ran', { detail: { tokens: Math.max(...texts[0].paths.map((p) => p.length), 1) } }));
  page.dataset.ready = 'yes';
})();
